// Texts to tokens, as src/unrolled/data/encoding/tokenizers.py: kinds word and character.

export interface Vocabulary {
  kind: "word" | "character";
  lowercase: boolean;
  normalize: "none" | "nfc" | "nfkc";
  tokens: string[];
}

export const UNKNOWN = 1, BEGIN = 2, END = 3;
export const SPECIAL = 5;
const WORD =
  /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|[\p{L}\p{M}\p{N}]+?(?=[nN]'[tT](?!\p{L}))|[nN]'[tT](?!\p{L})|'(?:[sSdDmMtT]|[rR][eE]|[vV][eE]|[lL][lL])(?!\p{L})|[\p{L}\p{M}\p{N}]+|\S/gu;

export interface Tokens {
  words: string[];
  ids: number[];
  /** Whether each word is in the vocabulary. */
  known: boolean[];
  /** Number of words beyond the limit, which are not read. */
  left: number;
}

export class Tokenizer {
  private readonly ids: Map<string, number>;

  constructor(private readonly vocabulary: Vocabulary) {
    this.ids = new Map(vocabulary.tokens.map((token, id) => [token, id] as const).filter(([, id]) => id >= SPECIAL));
  }

  get kind(): Vocabulary["kind"] {
    return this.vocabulary.kind;
  }

  get size(): number {
    return this.vocabulary.tokens.length;
  }

  split(text: string): string[] {
    const { kind, lowercase, normalize } = this.vocabulary;
    let form = normalize === "none" ? text : text.normalize(normalize.toUpperCase());
    if (kind === "character") return [...form];
    form = form.normalize("NFC").replace(/’/g, "'");
    return (lowercase ? form.toLowerCase() : form).match(WORD) ?? [];
  }

  read(text: string, limit: number): Tokens {
    const all = this.split(text);
    const words = all.slice(0, limit);
    const ids = words.map((word) => this.ids.get(word) ?? UNKNOWN);
    return { words, ids, known: ids.map((id) => id !== UNKNOWN), left: all.length - words.length };
  }

  token(id: number): string {
    return this.vocabulary.tokens[id] ?? "";
  }

  /** Ids that may be an answer: no special token. */
  isWord(id: number): boolean {
    return id >= SPECIAL;
  }
}
