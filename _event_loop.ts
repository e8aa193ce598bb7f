/**
 * The event loop.
 *
 * @module
 */

export {
  EventLoop,
  getEventLoop,
  getRunningLoop,
  type TaskFactory,
} from "./_scheduler.ts";
export { type ThreadHooks, threads } from "./_thread_hooks.ts";
