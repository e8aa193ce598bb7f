/**
 * Sessions with the debugger of the runtime, which speaks the Chrome DevTools
 * Protocol over a WebSocket.
 *
 * @module
 */

/** The result or error of a call, or an event. */
interface Answer {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: unknown;
  error?: { message: string };
}

/** The result of an evaluation. */
interface Evaluation {
  result: { value?: unknown; description?: string; objectId?: string };
  exceptionDetails?: { text: string; exception?: { description?: string } };
}

/**
 * A connection to the debugger. A worker evaluates its source text, so it may
 * refer only to itself and to globals.
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
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => this.#onClose();
  }

  /**
   * Opens a session.
   *
   * @throws {Error} If the connection fails.
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

  /** Resolves once the connection is closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /**
   * Calls a method of the protocol.
   *
   * @throws {Error} If the debugger returns an error, or the connection ends first.
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

  /** Closes the connection; resolves once it is closed. */
  close(): Promise<void> {
    this.#socket.close();
    return this.closed;
  }

  /**
   * Evaluates an expression to plain data. This also works while code blocks the
   * thread: the expression then runs on top of that code, unless `awaitPromise`
   * is set.
   *
   * @throws {Error} If the debugger returns an error, or the expression throws.
   */
  async evaluate(expression: string, awaitPromise = false): Promise<unknown> {
    const evaluated = await this.call<Evaluation>(
      "Runtime.evaluate",
      { expression, awaitPromise, returnByValue: true, silent: true },
    );
    return InspectorSession.#valueOf(evaluated);
  }

  /**
   * Calls a function with the list of all objects that have a certain prototype
   * as `this`.
   *
   * @param prototype An expression for the prototype.
   * @param fn The source of the function.
   * @returns What the function returns, as plain data.
   * @throws {Error} If the debugger returns an error, or the function throws.
   */
  async callWithAll(prototype: string, fn: string): Promise<unknown> {
    const objectGroup = "asyncio";
    const { result } = await this.call<Evaluation>("Runtime.evaluate", {
      expression: prototype,
      objectGroup,
    });
    const { objects } = await this.call<{ objects: { objectId: string } }>(
      "Runtime.queryObjects",
      { prototypeObjectId: result.objectId, objectGroup },
    );
    const called = await this.call<Evaluation>("Runtime.callFunctionOn", {
      functionDeclaration: fn,
      objectId: objects.objectId,
      awaitPromise: true,
      returnByValue: true,
    });
    await this.call("Runtime.releaseObjectGroup", { objectGroup });
    return InspectorSession.#valueOf(called);
  }

  static #valueOf({ result, exceptionDetails }: Evaluation): unknown {
    if (exceptionDetails === undefined) return result.value ?? null;
    const { text, exception } = exceptionDetails;
    throw new Error(exception?.description ?? text);
  }

  #receive({ id, method, params, result, error }: Answer): void {
    if (id === undefined) return this.onEvent(method!, params ?? {});
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error.message));
  }

  #onClose(): void {
    this.#closed.resolve();
    for (const { reject } of this.#calls.values()) {
      reject(new Error("The debugger's connection has ended"));
    }
    this.#calls.clear();
  }
}
