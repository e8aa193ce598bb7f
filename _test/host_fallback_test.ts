// The module does the same where the host keeps to itself what it is quicker
// with: these tests are run again without that.

import "./_without_core.ts";
import "./context_test.ts";
import "./eager_test.ts";
import "./task_cancel_test.ts";
import "./traces_test.ts";
import { assertEquals } from "@std/assert";
import { runtimeCore } from "../_host.ts";

Deno.test("hostCore is empty here", () => {
  assertEquals(runtimeCore, {});
});
