// The networks alone, without the page: what a test in Node imports.
export { InTab, sampled } from "./source";
export { Network } from "./model/network";
