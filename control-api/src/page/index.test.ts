/** The live page's script over as much of a document as it uses, with scripted answers. */
import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { expect, it, vi } from 'vitest';

class Part {
  readonly tag: string;
  parts: Part[] = [];
  text = '';
  title = '';
  open = false;
  src = '';
  constructor(tag: string, text = '') {
    this.tag = tag;
    this.text = text;
  }
  set textContent(text: string) {
    this.text = text;
    this.parts = [];
  }
  get textContent(): string {
    return this.text + this.parts.map((part) => part.textContent).join('');
  }
  get children() {
    return this.parts;
  }
  get lastChild() {
    return this.parts.at(-1);
  }
  hasChildNodes() {
    return this.parts.length > 0;
  }
  append(...parts: (Part | string)[]) {
    this.parts.push(...parts.map(partOf));
  }
  prepend(part: Part) {
    this.parts.unshift(part);
  }
  replaceChildren(...parts: Part[]) {
    this.parts = parts;
  }
  addEventListener() {}
  all(): Part[] {
    return [this, ...this.parts.flatMap((part) => part.all())];
  }
}
const partOf = (part: Part | string) => (typeof part === 'string' ? new Part('#text', part) : part);

/** Runs the page; `fetch` answers it, `refresh` is what it does every few seconds. */
function open(fetch: (path: string) => Response, redeployments: readonly object[] = []) {
  const html = readFileSync(new URL('./index.html', import.meta.url), 'utf8');
  const script = /<script>([\s\S]*)<\/script>/.exec(html)![1]!;
  const byId = new Map<string, Part>();
  const intervals: (() => void)[] = [];
  const context = createContext({
    document: {
      getElementById: (id: string) => byId.get(id) ?? byId.set(id, new Part(id)).get(id),
      createElement: (tag: string) => new Part(tag),
      createTextNode: (text: string) => new Part('#text', text),
    },
    location: { hash: '#token=t' },
    fetch: async (path: string) =>
      path.endsWith('/redeployments') ? Response.json(redeployments) : fetch(path),
    setInterval: (call: () => void) => intervals.push(call),
    setTimeout: () => undefined,
    URLSearchParams,
    AbortController,
    TextDecoderStream,
  });
  runInContext(script, context);
  return { part: (id: string) => byId.get(id)!, refresh: () => intervals.forEach((call) => void call()) };
}

const sha256 = 'ab'.repeat(32);
const hostile = '<img src=x onerror=alert(1)>';
const eventOf = (kind: string) =>
  `event: event\ndata: ${JSON.stringify({ sequence: 1, kind, atMs: 0, data: { sha256, name: hostile } })}\n\n`;

it('shows digests shortened, with the whole as title, and hostile names as text', async () => {
  const page = open((path) => {
    if (path === '/v1/clusters') return Response.json([{ name: 'bees', uid: 'u1' }]);
    return path.includes('/stream') ? new Response(eventOf('content-complete')) : Response.json({ term: 0 });
  });
  await vi.waitFor(() => expect(page.part('events').textContent).toContain('content-complete'));
  const events = page.part('events');
  expect(events.textContent).toContain(`sha256 abababab…, name ${hostile}`);
  expect(events.all().find(({ title }) => title !== '')?.title).toBe(sha256);
  expect(events.all().some(({ tag }) => tag === 'img')).toBe(false);
});

it('shows the diagram while it is looked at, as an image that can run nothing', async () => {
  let drawings = 0;
  const page = open((path) => {
    if (path === '/v1/clusters') return Response.json([{ name: 'bees', uid: 'u1' }]);
    if (path.includes('/space-time')) return new Response(`<svg>${++drawings} #</svg>`);
    return path.includes('/stream') ? new Response(eventOf('elected')) : Response.json({ term: 0 });
  });
  await vi.waitFor(() => expect(page.part('events').textContent).toContain('elected'));
  page.refresh();
  expect(drawings).toBe(0);
  page.part('diagram').open = true;
  page.refresh();
  await vi.waitFor(() =>
    expect(page.part('drawing').src).toBe('data:image/svg+xml,%3Csvg%3E1%20%23%3C%2Fsvg%3E'),
  );
  // Nothing new has come.
  page.refresh();
  expect(drawings).toBe(1);
});

it('shows how machines were replaced', async () => {
  const times = { askedMs: 1_000, acceptedMs: 1_000, servingMs: 2_500, goneMs: 1_012 };
  const told = { cause: 'evidence', askedBy: 'bootstrap-1@1', attempts: 2, times };
  const page = open(
    (path) => {
      if (path === '/v1/clusters') return Response.json([{ name: 'bees', uid: 'u1' }]);
      return path.includes('/stream') ? new Response(eventOf('elected')) : Response.json({ term: 0 });
    },
    [{ id: 'peer-1@2', state: 'complete', ...told }],
  );
  await vi.waitFor(() =>
    expect(page.part('redeployments').textContent).toBe(
      'peer-1@2asked for by bootstrap-1@1completeattempt 2evidenceaccepted 0 ms, gone 12 ms, serving 1.50 s',
    ),
  );
});

it('takes a cluster whose name was used before for another one', async () => {
  let uid = 'u1';
  const page = open((path) => {
    if (path === '/v1/clusters') return Response.json([{ name: 'bees', uid }]);
    return path.includes('/stream') ? new Response(eventOf(`came-of-${uid}`)) : Response.json({ term: 0 });
  });
  await vi.waitFor(() => expect(page.part('events').textContent).toContain('came-of-u1'));
  uid = 'u2';
  page.refresh();
  await vi.waitFor(() => expect(page.part('events').textContent).toContain('came-of-u2'));
  expect(page.part('events').textContent).not.toContain('came-of-u1');
});
