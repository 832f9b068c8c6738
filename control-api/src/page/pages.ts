/**
 * The two static pages, served under a policy that runs nothing but their own inline script (named by its
 * hash) and talks to nobody but this server.
 */
import type { Compute } from '@skep/p2p-core/host';

export interface Pages {
  readonly index: () => Response;
  readonly docs: () => Response;
}

/** Makes pages of HTML text; each may have inline scripts and styles. */
export function createPages(compute: Pick<Compute, 'hash'>, html: { index: string; docs: string }): Pages {
  return { index: page(compute, html.index), docs: page(compute, html.docs) };
}

function page(compute: Pick<Compute, 'hash'>, html: string): () => Response {
  const hashes = (tag: string): string =>
    [...html.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, 'g'))]
      .map(([, text]) => `'sha256-${base64(compute.hash('sha256', new TextEncoder().encode(text)))}'`)
      .join(' ');
  const policy = [
    "default-src 'none'",
    `script-src ${hashes('script') || "'none'"}`,
    `style-src ${hashes('style') || "'none'"}`,
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  };
  return () => new Response(html, { headers });
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
