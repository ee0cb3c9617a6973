// Numbers as texts: two decimals, a real minus, a thin way to write percent.

const size = (v: number, digits: number): string => Math.abs(v).toFixed(digits);
const none = (v: number): boolean => Math.abs(v) < 0.005;

export const number = (v: number): string => (Number.isNaN(v) ? "–" : none(v) ? "0.00" : (v < 0 ? "−" : "") + size(v, 2));
export const signed = (v: number): string => (Number.isNaN(v) ? "–" : none(v) ? "0.00" : (v < 0 ? "−" : "+") + size(v, 2));
export const exactly = (v: number): string => (Number.isNaN(v) ? "–" : (v < 0 ? "−" : "") + size(v, 4));
/** Whole percents; what is not quite all, or not quite nothing, is said so. */
export const percent = (p: number): string => (Number.isNaN(p) ? "–" : p > 0 && p < 0.005 ? "< 1 %" : p < 1 && p >= 0.995 ? "> 99 %" : `${Math.round(100 * p)} %`);
export const percent1 = (p: number): string => `${(100 * p).toFixed(1)} %`;
export const count = (n: number): string => n.toLocaleString("en");
