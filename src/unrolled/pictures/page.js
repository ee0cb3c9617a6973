// The value under the pointer, and under a cursor that arrow keys move; one step marked in every picture. No network.
"use strict";
(() => {
  const tip = document.getElementById("value");
  const stored = JSON.parse(document.getElementById("values").textContent);
  const numbers = new Map();
  const listed = (text) => text.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });

  // Deflated byte planes: all first bytes of the numbers, then all second ones, …
  async function unpack({ bytes, data }) {
    const packed = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const count = planes.length / bytes;
    const whole = new DataView(new ArrayBuffer(planes.length));
    for (let b = 0; b < bytes; b++) for (let i = 0; i < count; i++) whole.setUint8(i * bytes + b, planes[b * count + i]);
    return Float32Array.from({ length: count }, (_, i) =>
      bytes === 4 ? whole.getFloat32(4 * i, true) : half(whole.getUint16(2 * i, true)));
  }

  function half(bits) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  }

  const shown = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : String(value)).replace("-", "−");

  const images = [...document.querySelectorAll("image[data-values]")].map((element) => {
    const { tensor, lead, rows, columns, order, letters, values } = element.dataset;
    return { element, tensor, lead, rows: listed(rows), columns: listed(columns), order, letters: letters.split(","), values };
  });
  const imageOf = new Map(images.map((image) => [image.element, image]));
  Promise.all(stored.map(async (one, i) => numbers.set(String(i), await unpack(one))));

  function name(image, row, column) {
    const pair = image.order === "row,column" ? [image.rows[row], image.columns[column]] : [image.columns[column], image.rows[row]];
    const value = numbers.get(image.values);
    const text = value ? shown(value[row * image.columns.length + column]) : "…";
    return `${image.tensor}[${[...(image.lead ? image.lead.split(",") : []), ...pair].join(",")}] = ${text}`;
  }

  function say(text, x, y) {
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${Math.max(4, Math.min(y + 18, innerHeight - box.height - 8))}px`;
  }

  // A frame around a row or column of every image whose axis has the same letter: one step in all pictures.
  function mark(letter, index) {
    document.querySelectorAll(".mark").forEach((old) => old.remove());
    for (const image of images) {
      for (const [axis, indices] of [[0, image.rows], [1, image.columns]]) {
        const position = image.letters[axis] === letter ? indices.indexOf(index) : -1;
        if (position < 0) continue;
        const [x, y, width, height] = ["x", "y", "width", "height"].map((key) => Number(image.element.getAttribute(key)));
        const frame = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        const size = (axis ? width : height) / indices.length;
        const sides = axis ? { x: x + position * size, y, width: size, height } : { x, y: y + position * size, width, height: size };
        for (const [key, value] of Object.entries({ ...sides, class: "mark" })) frame.setAttribute(key, value);
        image.element.after(frame);
      }
    }
  }

  function cell(image, row, column, x, y) {
    say(name(image, row, column), x, y);
    const axis = image.letters[1] === "T" || image.letters[0] !== "T" ? 1 : 0;
    mark(image.letters[axis], axis ? image.columns[column] : image.rows[row]);
  }

  document.addEventListener("pointermove", (event) => {
    const image = imageOf.get(event.target);
    if (image) {
      const box = event.target.getBoundingClientRect();
      const position = (at, start, size, count) => Math.max(0, Math.min(count - 1, Math.floor(((at - start) / size) * count)));
      cell(image, position(event.clientY, box.top, box.height, image.rows.length),
        position(event.clientX, box.left, box.width, image.columns.length), event.clientX, event.clientY);
    } else {
      const title = event.target.parentNode?.closest?.("svg") && event.target.querySelector?.(":scope > title");
      title && event.target.tagName !== "svg" ? say(title.textContent, event.clientX, event.clientY) : (tip.textContent = "");
    }
  });

  // Keys: Tab goes from picture to picture; arrows from number to number; Enter to the next matrix or mark in a picture.
  for (const svg of document.querySelectorAll("svg")) {
    const items = [...svg.querySelectorAll("image[data-values], :not(image):has(> title)")].filter((item) => item !== svg);
    let at = 0, row = 0, column = 0;
    svg.tabIndex = 0;
    svg.querySelectorAll(":not(svg) > title").forEach((title) => title.parentNode.setAttribute("aria-label", title.textContent));
    const show = () => {
      svg.querySelectorAll(".here").forEach((old) => old.classList.remove("here"));
      const item = items[at];
      if (!item) return;
      item.scrollIntoView({ block: "nearest" });
      const box = item.getBoundingClientRect(), image = imageOf.get(item);
      if (image) {
        cell(image, row, column, box.left + ((column + 0.5) / image.columns.length) * box.width,
          box.top + ((row + 0.5) / image.rows.length) * box.height);
      } else {
        item.classList.add("here");
        say(item.querySelector("title").textContent, box.right, box.top);
      }
    };
    const go = (by) => { at = Math.max(0, Math.min(items.length - 1, at + by)); row = column = 0; };
    svg.addEventListener("keydown", (event) => {
      const image = imageOf.get(items[at]);
      const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [];
      if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape") { tip.textContent = ""; mark("", -1); return; }
      else if (down === undefined) return;
      else if (image) {
        row = Math.max(0, Math.min(image.rows.length - 1, row + down));
        column = Math.max(0, Math.min(image.columns.length - 1, column + right));
      } else go(down + right);
      event.preventDefault();
      show();
    });
    svg.addEventListener("focus", () => svg.matches(":focus-visible") && show());
    svg.addEventListener("blur", () => { tip.textContent = ""; });
  }
})();
