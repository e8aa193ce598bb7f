/** Values as the console shows them, on every runtime. */

export { inspect } from "../_host.ts";
