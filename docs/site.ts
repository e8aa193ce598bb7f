/**
 * A small web site on this machine, for the programs of the guides to visit.
 *
 * @module
 */

const PAGES: Record<string, string> = {
  "/": "Welcome! /about /news",
  "/about": "We like tea. /",
  "/news": "Tea is ready. /news/1 /news/2",
  "/news/1": "The kettle is on. /news",
  "/news/2": "The kettle is off. /news /lost",
};

/** A site that is being served. */
export interface Site extends AsyncDisposable {
  /** The address of a page. */
  url(path: string): string;
}

/**
 * Serves the site on a free port, until the block is left. The text of
 * `/slow` never comes; a page that is not there is a 404.
 *
 * @returns The site.
 */
export function startSite(): Site {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/slow") return new Response(new ReadableStream());
      const text = PAGES[pathname];
      return new Response(text ?? "Not found", { status: text ? 200 : 404 });
    },
  );
  return {
    url: (path) => `http://127.0.0.1:${server.addr.port}${path}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
