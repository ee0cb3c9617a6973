// src/model/tensor.ts
function e(e) {
	let t = atob(e), n = new Uint8Array(t.length);
	for (let e = 0; e < n.length; e++) n[e] = t.charCodeAt(e);
	return n.buffer;
}
function t(t) {
	if (t.f32 !== void 0) return {
		shape: t.shape,
		data: new Float32Array(e(t.f32))
	};
	let n = new Int8Array(e(t.q8 ?? "")), r = new Float32Array(e(t.scale ?? "")), i = t.shape[1] ?? 1, a = new Float32Array(n.length);
	for (let e = 0; e < n.length; e++) a[e] = n[e] * r[Math.floor(e / i)];
	return {
		shape: t.shape,
		data: a
	};
}
function n(e, t, n, r = 0, i = e.shape[0]) {
	let a = e.shape[1], o = new Float64Array(i);
	for (let s = 0; s < i; s++) {
		let i = n ? n[r + s] : 0, c = (r + s) * a;
		for (let n = 0; n < a; n++) i += e.data[c + n] * t[n];
		o[s] = i;
	}
	return o;
}
function r(e, t) {
	let n = e.shape[1];
	return Float64Array.from(e.data.subarray(t * n, t * n + n));
}
var i = (e) => new Float64Array(e), a = (e, t) => e.map((e, n) => e + t[n]), o = (e, t) => e.map((e, n) => e * t[n]), s = (e) => e.map(Math.tanh), c = (e) => e.map((e) => 1 / (1 + Math.exp(-e))), l = (...e) => {
	let t = new Float64Array(e.reduce((e, t) => e + t.length, 0)), n = 0;
	for (let r of e) t.set(r, n), n += r.length;
	return t;
};
function u(e, t, n = e.length) {
	let r = 0;
	for (let i = 0; i < n; i++) r += e[i] * t[i];
	return r;
}
function d(e) {
	let t = e.reduce((e, t) => Math.max(e, t), -1e400), n = e.map((e) => Math.exp(e - t)), r = n.reduce((e, t) => e + t, 0);
	return n.map((e) => e / r);
}
function f(e) {
	let t = Math.abs(e);
	if (t > 6) return Math.sign(e);
	if (t < 2.5) {
		let n = t, r = t;
		for (let e = 1; e < 60 && (n *= -t * t / e, r += n / (2 * e + 1), !(Math.abs(n) < 1e-17)); e++);
		return Math.sign(e) * 2 * r / Math.sqrt(Math.PI);
	}
	let n = 0;
	for (let e = 60; e > 0; e--) n = e / 2 / (t + n);
	return Math.sign(e) * (1 - Math.exp(-t * t) / (Math.sqrt(Math.PI) * (t + n)));
}
var p = {
	tanh: Math.tanh,
	relu: (e) => Math.max(0, e),
	gelu: (e) => .5 * e * (1 + f(e / Math.SQRT2)),
	gelu_tanh: (e) => .5 * e * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (e + .044715 * e ** 3))),
	silu: (e) => e / (1 + Math.exp(-e))
};
function m(e, ...t) {
	let n = e[0]?.length ?? 0, r = new Float64Array(e.length * n);
	return e.forEach((e, t) => r.set(Array.from(e), t * n)), {
		shape: [e.length, ...t.length ? t : [n]],
		data: r
	};
}
function h(e, ...t) {
	if (!e) return NaN;
	let n = 0;
	for (let r = 0; r < e.shape.length; r++) n = n * e.shape[r] + (t[r] ?? 0);
	return e.data[n] ?? NaN;
}
function g(e, t) {
	let n = e.shape.slice(1).reduce((e, t) => e * t, 1);
	return e.data.subarray(t * n, t * n + n);
}
// src/model/blocks.ts
var _ = 1e-5;
function v(e, t, n) {
	let r = e.reduce((e, t) => e + t, 0) / e.length, i = e.reduce((e, t) => e + (t - r) ** 2, 0) / e.length, a = 1 / Math.sqrt(i + _);
	return e.map((e, i) => (e - r) * a * t[i] + n[i]);
}
function y(e, t) {
	return Float64Array.from({ length: t }, (n, r) => {
		let i = e / 1e4 ** ((r - r % 2) / t);
		return r % 2 ? Math.cos(i) : Math.sin(i);
	});
}
function b(e, t, n, r) {
	let i = e.length, a = new Float64Array(n * i * r);
	for (let o = 0; o < n; o++) for (let n = 0; n < i; n++) for (let s = 0; s < r; s++) a[(o * i + n) * r + s] = e[n][t + o * r + s];
	return {
		shape: [
			n,
			i,
			r
		],
		data: a
	};
}
function x(e, t, r) {
	let i = {}, o = e["blocks.enter.weight"], { num_heads: s, norm: c, causal: f } = t, h = p[t.nonlinearity], g = r.length, _ = o ? r.map((t) => n(o, t, e["blocks.enter.bias"].data)) : r, x = _[0]?.length ?? 0, S = x / s, C = e["blocks.position.weight"], w = _.map((e, t) => C ? Float64Array.from(C.data.subarray(t * x, t * x + x)) : y(t, x));
	i["transformer.token"] = m(_), i["transformer.position"] = m(w), _ = _.map((e, t) => a(e, w[t]));
	for (let r = 0; r < t.num_layers; r++) {
		let t = `blocks.blocks.${r}.`, o = (n) => e[`${t}${n}.weight`], p = (n) => e[`${t}${n}.bias`].data, y = (e) => `transformer.l${r}.${e}`, C = (e, t) => v(t, o(`norms.${e}`).data, p(`norms.${e}`));
		i[y("x")] = m(_);
		let w = c === "pre" ? _.map((e) => C(0, e)) : _, T = w.map((e) => n(o("mixer.project"), e, p("mixer.project"))), [E, D, O] = [
			b(T, 0, s, S),
			b(T, x, s, S),
			b(T, 2 * x, s, S)
		], k = new Float64Array(s * g * g), A = new Float64Array(s * g * g), j = new Float64Array(s * g * S);
		for (let e = 0; e < s; e++) for (let t = 0; t < g; t++) {
			let n = E.data.subarray((e * g + t) * S, (e * g + t + 1) * S), r = new Float64Array(g).map((r, i) => f && i > t ? -1e400 : u(n, D.data.subarray((e * g + i) * S, (e * g + i + 1) * S)) / Math.sqrt(S)), i = d(r);
			k.set(r, (e * g + t) * g), A.set(i, (e * g + t) * g);
			for (let n = 0; n < g; n++) for (let r = 0; r < S; r++) {
				let a = (e * g + t) * S + r;
				j[a] = j[a] + i[n] * O.data[(e * g + n) * S + r];
			}
		}
		let M = [
			s,
			g,
			g
		], N = _.map((e, t) => {
			let r = l(...Array.from({ length: s }, (e, n) => j.subarray((n * g + t) * S, (n * g + t + 1) * S)));
			return n(o("mixer.output"), r, p("mixer.output"));
		});
		_ = _.map((e, t) => a(e, N[t])), c === "post" && (_ = _.map((e) => C(0, e)));
		let P = c === "pre" ? _.map((e) => C(1, e)) : _, F = P.map((e) => n(o("feedforward.0"), e, p("feedforward.0")).map(h)), I = F.map((e) => n(o("feedforward.3"), e, p("feedforward.3")));
		_ = _.map((e, t) => a(e, I[t])), c === "post" && (_ = _.map((e) => C(1, e))), Object.assign(i, {
			[y("attention_input")]: m(w),
			[y("query")]: E,
			[y("key")]: D,
			[y("value")]: O,
			[y("score")]: {
				shape: M,
				data: k
			},
			[y("weights")]: {
				shape: M,
				data: A
			},
			[y("context")]: {
				shape: [
					s,
					g,
					S
				],
				data: j
			},
			[y("attention_output")]: m(N),
			[y("feedforward_input")]: m(P),
			[y("inner")]: m(F),
			[y("feedforward_output")]: m(I),
			[y("y")]: m(_)
		});
	}
	let T = e["blocks.norm.weight"];
	return T && (_ = _.map((t) => v(t, T.data, e["blocks.norm.bias"].data))), {
		outputs: _,
		tensors: i
	};
}
// src/model/recurrent.ts
var S = {
	elman: {
		gates: ["h"],
		held: [],
		memory: "h",
		keeps: ""
	},
	lstm: {
		gates: [
			"i",
			"f",
			"g",
			"o"
		],
		held: [
			"f",
			"i",
			"o"
		],
		memory: "c",
		keeps: "f"
	},
	gru: {
		gates: [
			"r",
			"z",
			"n"
		],
		held: ["z", "r"],
		memory: "h",
		keeps: "z"
	}
}, C = {
	edits: {},
	unit: null
};
function w(e, t, r, i, l, u = (e, t) => t, d = Math.tanh) {
	let f = l.h.length, p = n(t[`${r}weight_x`], i), m = n(t[`${r}weight_h`], l.h), h = t[`${r}bias`].data, g = (e, t) => e.slice(t * f, t * f + f), _ = (e) => a(a(g(p, e), g(m, e)), h.subarray(e * f, e * f + f));
	if (e === "elman") return {
		from_x: p,
		from_h: m,
		h: _(0).map(d)
	};
	if (e === "lstm") {
		let e = l.c, t = u("i", c(_(0))), n = u("f", c(_(1))), r = s(_(2)), i = u("o", c(_(3))), d = a(o(n, e), o(t, r));
		return {
			from_x: p,
			from_h: m,
			i: t,
			f: n,
			g: r,
			o: i,
			c: d,
			h: o(i, s(d))
		};
	}
	let v = u("r", c(_(0))), y = u("z", c(_(1))), b = a(g(m, 2), t[`${r}bias_n`].data), x = s(a(a(g(p, 2), h.subarray(2 * f, 3 * f)), o(v, b)));
	return {
		from_x: p,
		from_h: m,
		r: v,
		z: y,
		n: x,
		h: l.h.map((e, t) => (1 - y[t]) * x[t] + y[t] * e)
	};
}
function T(e, t, n, r, a = {}) {
	let o = S[e].gates.length, s = t[`${n}weight_h`].shape[1], { edits: c, unit: l } = a.held ?? C, u = p[a.nonlinearity ?? "tanh"], d = r.length, f = {}, h = a.initial ?? {
		h: i(s),
		c: i(s)
	}, g = h;
	for (let i = 0; i < d; i++) {
		let o = a.reverse ? d - 1 - i : i, s = w(e, t, n, r[o], g, (e, t) => {
			let n = c[o]?.[e];
			return n === void 0 ? t : t.map((e, t) => l === null || l === t ? n : e);
		}, u);
		for (let [e, t] of Object.entries(s)) (f[e] ??= Array(d))[o] = t;
		g = e === "lstm" ? {
			h: s.h,
			c: s.c
		} : { h: s.h };
	}
	let _ = {};
	for (let [e, t] of Object.entries(f)) _[e] = e.startsWith("from_") ? m(t, o, s) : m(t);
	_.bias = {
		shape: [o, s],
		data: Float64Array.from(t[`${n}bias`].data)
	};
	let v = t[`${n}bias_n`];
	return v && (_.bias_n = {
		shape: [s],
		data: Float64Array.from(v.data)
	}), _.h0 = {
		shape: [s],
		data: h.h
	}, h.c && e === "lstm" && (_.c0 = {
		shape: [s],
		data: h.c
	}), {
		outputs: f.h ?? [],
		final: g,
		tensors: _
	};
}
var E = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|[\p{L}\p{M}\p{N}]+?(?=[nN]'[tT](?!\p{L}))|[nN]'[tT](?!\p{L})|'(?:[sSdDmMtT]|[rR][eE]|[vV][eE]|[lL][lL])(?!\p{L})|[\p{L}\p{M}\p{N}]+|\S/gu, D = class {
	vocabulary;
	ids;
	constructor(e) {
		this.vocabulary = e, this.ids = new Map(e.tokens.map((e, t) => [e, t]).filter(([, e]) => e >= 5));
	}
	get kind() {
		return this.vocabulary.kind;
	}
	get size() {
		return this.vocabulary.tokens.length;
	}
	split(e) {
		let { kind: t, lowercase: n, normalize: r } = this.vocabulary, i = r === "none" ? e : e.normalize(r.toUpperCase());
		return t === "character" ? [...i] : (i = i.normalize("NFC").replace(/’/g, "'"), (n ? i.toLowerCase() : i).match(E) ?? []);
	}
	read(e, t) {
		let n = this.split(e), r = n.slice(0, t), i = r.map((e) => this.ids.get(e) ?? 1);
		return {
			words: r,
			ids: i,
			known: i.map((e) => e !== 1),
			left: n.length - r.length
		};
	}
	token(e) {
		return this.vocabulary.tokens[e] ?? "";
	}
	isWord(e) {
		return e >= 5;
	}
}, O = class {
	saved;
	W = {};
	tokenizer;
	target;
	cell;
	recurrent;
	constructor(e) {
		this.saved = e;
		for (let [n, r] of Object.entries(e.weights)) this.W[n] = t(r);
		this.tokenizer = new D(e.tokenizers[0]), this.target = new D(e.tokenizers.at(-1));
		let { model: n } = e;
		this.recurrent = n === "elman" || n === "lstm" || n === "gru", this.cell = this.recurrent ? n : e.config.cell ?? "gru";
	}
	weight(e) {
		let t = this.W[e];
		if (!t) throw Error(`this network has no ${e}`);
		return t;
	}
	get size() {
		let e = Object.keys(this.W).find((e) => e.endsWith("weight_h"));
		return e ? this.weight(e).shape[1] : 0;
	}
	vectors(e) {
		return e.map((e) => r(this.weight("embedding.weight"), e));
	}
	get mean() {
		let e = this.weight("embedding.weight"), t = e.shape[1], n = e.shape[0] - 5, r = i(t);
		for (let i = 5 * t; i < e.data.length; i++) r[i % t] = r[i % t] + e.data[i] / n;
		return r;
	}
	head(e) {
		let t = this.W["head.weight"] === void 0, r = this.W["head.project.weight"], i = t && r ? n(r, e) : e;
		return n(t ? this.weight("embedding.weight") : this.weight("head.weight"), i, this.weight("head.bias").data);
	}
	trace(e, t = {}) {
		let { words: n, ids: r, known: i, left: a } = this.tokenizer.read(e, this.limit);
		this.saved.model === "gpt" && (n.unshift(this.tokenizer.token(2)), r.unshift(2), i.unshift(!0));
		let o = t.vectors ?? this.vectors(r), s = o.length === 0 ? {
			tensors: {},
			answers: []
		} : this.forward(o, t);
		return {
			model: this.saved.model,
			words: n,
			known: i,
			left: a,
			...s
		};
	}
	get limit() {
		return this.saved.model === "gpt" ? Math.min(60, (this.saved.config.window ?? 64) - 1) : 60;
	}
	forward(e, t) {
		let { model: n } = this.saved;
		return n === "feedforward" ? this.bag(e) : n === "transformer" ? this.encoder(e, t.every ?? !0) : n === "gpt" ? this.decoder(e) : this.recurrentPass(e, {
			edits: t.edits ?? {},
			unit: t.unit ?? null
		}, t.every ?? !0);
	}
	bag(e) {
		let { read: t, num_layers: r, nonlinearity: i } = this.saved.config, o = p[i ?? "relu"], s = {}, c = e[0];
		return {
			tensors: s,
			answers: e.map((e, i) => {
				i && (c = t === "max" ? c.map((t, n) => Math.max(t, e[n])) : a(c, e));
				let l = t === "max" ? c : c.map((e) => e / (i + 1));
				s["feedforward.x"] = m([l]);
				for (let e = 0; e < r; e++) l = n(this.weight(`mlp.steps.${3 * e}.weight`), l, this.weight(`mlp.steps.${3 * e}.bias`).data).map(o), s[`feedforward.l${e}.h`] = m([l]);
				return d(this.head(l));
			})
		};
	}
	recurrentPass(e, t, n) {
		let { num_layers: r, bidirectional: i, read: o, nonlinearity: s } = this.saved.config, { cell: c, W: u } = this, f = {}, p = (e, t, n) => {
			for (let [r, i] of Object.entries(n.tensors)) f[`${c}.l${e}.${t}${r}`] = i;
		}, m = e, h = [];
		for (let e = 0; e < r; e++) {
			let n = `layers.layers.${e}.`, r = e === 0 ? {
				held: t,
				nonlinearity: s
			} : { nonlinearity: s }, a = T(c, u, i ? `${n}forward_layer.cell.` : `${n}cell.`, m, r);
			if (p(e, "", a), h = [a], i) {
				let t = T(c, u, `${n}backward_layer.cell.`, m, {
					reverse: !0,
					nonlinearity: s
				});
				p(e, "reverse.", t), h.push(t);
			}
			m = m.map((e, t) => l(...h.map((e) => e.outputs[t])));
		}
		let g = (e, t, n) => o === "mean" ? t.reduce(a).map((t) => t / e) : o === "max" ? t.reduce((e, t) => e.map((e, n) => Math.max(e, t[n]))) : n;
		if (!i) {
			let e = m[0];
			return {
				tensors: f,
				answers: m.map((t, n) => (n && (e = o === "max" ? e.map((e, n) => Math.max(e, t[n])) : a(e, t)), d(this.head(o === "max" ? e : o === "mean" ? e.map((e) => e / (n + 1)) : t))))
			};
		}
		let _ = e.length, v = d(this.head(g(_, m, l(...h.map((e) => e.final.h)))));
		return n ? {
			tensors: f,
			answers: [...e.slice(0, -1).map((n, r) => this.recurrentPass(e.slice(0, r + 1), t, !1).answers[0]), v]
		} : {
			tensors: f,
			answers: [v]
		};
	}
	settings(e) {
		let { num_layers: t, num_heads: n, norm: r, position: i, nonlinearity: a } = this.saved.config;
		return {
			num_layers: t,
			num_heads: n,
			norm: r,
			position: i,
			nonlinearity: a ?? (e ? "gelu" : "relu"),
			causal: e
		};
	}
	encoder(e, t) {
		let { outputs: n, tensors: r } = x(this.W, this.settings(!1), e), { read: i } = this.saved.config, o = i === "max" ? n.reduce((e, t) => e.map((e, n) => Math.max(e, t[n]))) : n.reduce(a).map((e) => e / n.length), s = d(this.head(o));
		return t ? {
			tensors: r,
			answers: [...e.slice(0, -1).map((t, n) => this.encoder(e.slice(0, n + 1), !1).answers[0]), s]
		} : {
			tensors: r,
			answers: [s]
		};
	}
	decoder(e) {
		let { outputs: t, tensors: n } = x(this.W, this.settings(!0), e);
		return {
			tensors: n,
			answers: t.map((e) => d(this.head(e)))
		};
	}
	speak(e, t = {}) {
		let { W: o, cell: c } = this, { bidirectional: f, reverse_source: p } = this.saved.config, { words: h, ids: g, known: _, left: v } = this.tokenizer.read(e, 24), y = {};
		if (!h.length) return {
			letters: h,
			known: _,
			left: v,
			steps: [],
			tensors: y
		};
		let b = g.map((e) => r(this.weight("source_embedding.weight"), e)), x = (e, t) => {
			for (let [n, r] of Object.entries(t)) y[`${e}${n}`] = r;
		}, C = T(c, o, f ? "encoder.layers.0.forward_layer.cell." : "encoder.layers.0.cell.", b, { reverse: p }), E = [C];
		if (x(p ? `encoder.${c}.l0.reverse.` : `encoder.${c}.l0.`, C.tensors), f) {
			let e = T(c, o, "encoder.layers.0.backward_layer.cell.", b, { reverse: !0 });
			E.push(e), x(`encoder.${c}.l0.reverse.`, e.tensors);
		}
		let D = b.map((e, t) => l(...E.map((e) => e.outputs[t])));
		y["encoder.summary"] = m([l(...E.map((e) => e.final.h))]);
		let O = (e) => s(n(this.weight(`bridge.0.fields.${e}.weight`), l(...E.map((t) => t.final[e])), this.weight(`bridge.0.fields.${e}.bias`).data)), k = c === "lstm" ? {
			h: O("h"),
			c: O("c")
		} : { h: O("h") }, A = o["decoder.score.v"] !== void 0, j = A ? "decoder.layers.layers.0.cell." : "decoder.layers.0.cell.", M = o["decoder.score.v"]?.data, N = A ? D.map((e) => n(this.weight("decoder.score.key.weight"), e, this.weight("decoder.score.key.bias").data)) : [], P = {}, F = (e, t) => void (P[e] ??= []).push(t), I = [], L = 2;
		for (let e = 0; e < 32; e++) {
			let s = r(this.weight("embedding.weight"), L), f = null;
			if (A && M) {
				let r = k.h, o = n(this.weight("decoder.score.query.weight"), r), c = Float64Array.from(N, (e) => u(M, e.map((e, t) => Math.tanh(e + o[t])))), p = t.held?.[e];
				f = p === void 0 ? d(c) : c.map((e, t) => +(t === p));
				let m = f, h = D.map((e, t) => e.map((e) => e * m[t])).reduce(a);
				F("attention.query", r), F("attention.score", c), F("attention.weights", f), F("attention.context", h), s = l(s, t.closed ? i(h.length) : h);
			}
			let p = w(c, o, j, s, k);
			k = c === "lstm" ? {
				h: p.h,
				c: p.c
			} : { h: p.h };
			for (let [e, t] of Object.entries(p)) F(`decoder.${c}.l0.${e}`, t);
			let m = d(this.head(k.h)), h = [...m.keys()].sort((e, t) => m[t] - m[e]).slice(0, 4);
			L = t.forced?.[e] ?? h[0];
			let g = (e) => e === 3 ? "" : this.target.token(e);
			if (I.push({
				id: L,
				token: g(L),
				p: m[L],
				weights: f,
				best: h.map((e) => ({
					token: g(e),
					p: m[e]
				}))
			}), t.forced ? e === t.forced.length - 1 : L === 3) break;
		}
		let R = S[c].gates.length;
		for (let [e, t] of Object.entries(P)) {
			let n = t[0].length / R;
			y[e] = /\.from_[xh]$/.test(e) ? m(t, R, n) : m(t);
		}
		return {
			letters: h,
			known: _,
			left: v,
			steps: I,
			tensors: y
		};
	}
}, k = 1e-4, A = class {
	kind = "tab";
	networks;
	saved;
	constructor(e) {
		this.saved = e.networks, this.networks = new Map(e.networks.map((e) => [e.model, new O(e)]));
	}
	network(e) {
		let t = this.networks.get(e);
		if (!t) throw Error(`there is no network ${e}`);
		return t;
	}
	models() {
		return Promise.resolve(this.saved);
	}
	trace(e, t, n = {}) {
		return Promise.resolve(this.network(e).trace(t, n));
	}
	speak(e, t, n = {}) {
		return Promise.resolve(this.network(e).speak(t, n));
	}
	head(e) {
		let t = this.network(e).W["head.weight"];
		return Promise.resolve(t ? {
			shape: t.shape,
			data: Float64Array.from(t.data)
		} : null);
	}
	sweep(e, t, n) {
		let r = this.network(e);
		if (!r.recurrent) return Promise.resolve(null);
		let i = (e) => r.trace(t, {
			edits: e,
			every: !1
		}).answers.at(-1)?.[n] ?? NaN, a = i({}), o = null;
		for (let e = 0; e < r.trace(t).words.length; e++) for (let t of S[r.cell].held) for (let n of [0, 1]) {
			let r = i({ [e]: { [t]: n } });
			(!o || Math.abs(r - a) > Math.abs(o.p - a)) && (o = {
				step: e,
				gate: t,
				value: n,
				p: r
			});
		}
		return Promise.resolve(o);
	}
	memory(e, t, n) {
		let r = this.network(e), i = r.trace(t), a = i.words.length;
		if (n === "retention") return Promise.resolve(j(r, i, a));
		if (n === "gradient_norm" && e === "transformer" && a > 14) return Promise.resolve(null);
		let o = i.answers.map((e) => e.indexOf(Math.max(...e))), s = r.tokenizer.read(t, r.limit).ids, c = r.vectors(s), l = new Float64Array(a * a), u = (e) => {
			let { answers: n } = r.trace(t, { vectors: e });
			return Float64Array.from(n, (e, t) => Math.log(e[o[t]]));
		}, d = (e, t) => c.map((n, r) => r === e ? t : n), f = u(c);
		for (let e = 0; e < a; e++) {
			if (n === "occlusion") {
				let t = u(d(e, r.mean));
				for (let n = e; n < a; n++) l[n * a + e] = (f[n] - t[n]) / Math.LN2;
				continue;
			}
			let t = c[e];
			for (let n = 0; n < t.length; n++) {
				let r = (r) => d(e, t.map((e, t) => t === n ? e + r : e)), [i, o] = [u(r(k)), u(r(-1e-4))];
				for (let t = e; t < a; t++) {
					let n = (i[t] - o[t]) / (2 * k);
					l[t * a + e] = l[t * a + e] + n * n;
				}
			}
			for (let t = e; t < a; t++) l[t * a + e] = Math.sqrt(l[t * a + e]);
		}
		return Promise.resolve({
			shape: [a, a],
			data: l
		});
	}
	next(e, t) {
		let n = this.network(e), { answers: r } = n.trace(t), i = r.at(-1);
		if (!i) return Promise.resolve([]);
		let a = [...i.keys()].filter((e) => n.target.isWord(e)).map((e) => ({
			id: e,
			token: n.target.token(e),
			p: i[e]
		}));
		return Promise.resolve(a.sort((e, t) => t.p - e.p));
	}
};
function j(e, t, n) {
	let { model: r, config: i } = e.saved, a = new Float64Array(n * n);
	if (r === "feedforward" && i.read !== "max") {
		for (let e = 0; e < n; e++) a.fill(1 / (e + 1), e * n, e * n + e + 1);
		return {
			shape: [n, n],
			data: a
		};
	}
	if (r === "transformer") {
		let e = t.tensors["transformer.l0.weights"];
		if (!e) return null;
		let r = e.shape[0];
		for (let t = 0; t < r; t++) for (let i = 0; i < n * n; i++) a[i] = a[i] + e.data[t * n * n + i] / r;
		return {
			shape: [n, n],
			data: a
		};
	}
	let o = e.recurrent ? S[e.cell].keeps : "", s = t.tensors[`${r}.l0.${o}`];
	if (!s) return r === "elman" ? M(e, t, n) : null;
	let c = s.shape[1];
	for (let e = 0; e < n; e++) {
		let t = new Float64Array(c).fill(1);
		for (let r = e; r < n; r++) {
			if (r > e) for (let e = 0; e < c; e++) t[e] = t[e] * h(s, r, e);
			a[r * n + e] = t.reduce((e, t) => e + t, 0) / c;
		}
	}
	return {
		shape: [n, n],
		data: a
	};
}
function M(e, t, r) {
	let i = t.tensors["elman.l0.h"], a = e.W["layers.layers.0.cell.weight_h"];
	if (!i || !a || (e.saved.config.nonlinearity ?? "tanh") !== "tanh") return null;
	let o = i.shape[1], s = Array.from({ length: e.saved.directions.length / o }, (t, n) => Float64Array.from(e.saved.directions.slice(n * o, n * o + o))), c = new Float64Array(r * r);
	for (let e = 0; e < r; e++) {
		let t = s;
		for (let o = e; o < r; o++) {
			if (o > e) {
				let e = g(i, o).map((e) => 1 - e * e);
				t = t.map((t) => n(a, t).map((t, n) => t * e[n]));
			}
			let s = t.map((e) => e.reduce((e, t) => e + t * t, 0));
			c[o * r + e] = Math.sqrt(s.reduce((e, t) => e + t, 0) / s.length);
		}
	}
	return {
		shape: [r, r],
		data: c
	};
}
function N(e, { temperature: t, topK: n, topP: r }) {
	if (!e.length) return [];
	let i = d(Float64Array.from(e, (e) => Math.log(e.p) / t)), a = 0;
	return e.map((e, t) => {
		let o = (n === 0 || t < n) && (t === 0 || a < r);
		return a += i[t], {
			...e,
			p: i[t],
			kept: o
		};
	});
}
export { A as InTab, O as Network, N as sampled };
