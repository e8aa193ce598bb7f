/**
 * A session with the debugger that the runtime has built in, over its
 * WebSocket: the Chrome DevTools Protocol.
 *
 * @module
 */

/** What a call of the protocol gives, or the error that it ends with. */
interface Answer {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: unknown;
  error?: { message: string };
}

/** What an evaluation gives. */
interface Evaluated {
  result: { value?: unknown; description?: string; objectId?: string };
  exceptionDetails?: { text: string; exception?: { description?: string } };
}

/**
 * A connection to the debugger. It is used in a worker too, by its source
 * text, so it names nothing but itself and what the runtime has.
 */
export class InspectorSession {
  readonly #socket: WebSocket;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #closed = Promise.withResolvers<void>();
  #id = 0;
  /** Called with the name and the parameters of every event. */
  onEvent: (method: string, params: Record<string, unknown>) => void = () => {};

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    socket.onclose = () => this.#end();
  }

  /**
   * Opens a session.
   *
   * @throws {Error} If nobody answers at that address.
   */
  static connect(url: string): Promise<InspectorSession> {
    const { promise, resolve, reject } = Promise.withResolvers<
      InspectorSession
    >();
    const socket = new WebSocket(url);
    socket.onopen = () => resolve(new InspectorSession(socket));
    socket.onerror = (event) => {
      const { message = "" } = event as ErrorEvent;
      reject(new Error(`Cannot connect to the debugger: ${message}`));
    };
    return promise;
  }

  /** Settles once the connection has ended. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /**
   * Calls a method of the protocol.
   *
   * @throws {Error} If the call is refused, or the connection ends before the answer.
   */
  call<T>(method: string, params: object = {}): Promise<T> {
    const call = Promise.withResolvers<unknown>();
    if (this.#socket.readyState !== WebSocket.OPEN) {
      call.reject(new Error("The debugger's connection has ended"));
      return call.promise as Promise<T>;
    }
    const id = ++this.#id;
    this.#calls.set(id, call);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return call.promise as Promise<T>;
  }

  /** Ends the connection; resolves once that is done. */
  close(): Promise<void> {
    this.#socket.close();
    return this.closed;
  }

  /**
   * Evaluates an expression as plain data, also in the midst of code
   * that blocks the thread: it runs on top of that code then, unless its
   * promise is to be awaited.
   *
   * @throws {Error} If the call is refused, or the expression throws.
   */
  async evaluate(expression: string, awaitPromise = false): Promise<unknown> {
    const evaluated = await this.call<Evaluated>(
      "Runtime.evaluate",
      { expression, awaitPromise, returnByValue: true, silent: true },
    );
    return InspectorSession.#valueOf(evaluated);
  }

  /**
   * Calls a function, which is given as text, with the list of all objects
   * that have a prototype as `this`; gives what it returns, as plain data.
   *
   * @throws {Error} If the call is refused, or the function throws.
   */
  async callWithAll(prototype: string, fn: string): Promise<unknown> {
    const objectGroup = "asyncio";
    const { result } = await this.call<Evaluated>("Runtime.evaluate", {
      expression: prototype,
      objectGroup,
    });
    const { objects } = await this.call<{ objects: { objectId: string } }>(
      "Runtime.queryObjects",
      { prototypeObjectId: result.objectId, objectGroup },
    );
    const called = await this.call<Evaluated>("Runtime.callFunctionOn", {
      functionDeclaration: fn,
      objectId: objects.objectId,
      awaitPromise: true,
      returnByValue: true,
    });
    await this.call("Runtime.releaseObjectGroup", { objectGroup });
    return InspectorSession.#valueOf(called);
  }

  static #valueOf({ result, exceptionDetails }: Evaluated): unknown {
    if (exceptionDetails === undefined) return result.value ?? null;
    const { text, exception } = exceptionDetails;
    throw new Error(exception?.description ?? text);
  }

  #take({ id, method, params, result, error }: Answer): void {
    if (id === undefined) return this.onEvent(method!, params ?? {});
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error.message));
  }

  #end(): void {
    this.#closed.resolve();
    for (const { reject } of this.#calls.values()) {
      reject(new Error("The debugger's connection has ended"));
    }
    this.#calls.clear();
  }
}
