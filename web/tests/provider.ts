// A hospital's OpenID Connect provider with a page of its own: it asks who somebody is, signs what it says (RS256) and
// holds the client to its secret and to PKCE. How a token may lie is tested in tests/it/sso.rs.
import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const CLIENT = "aftercall";
export const SECRET = "a-secret-of-the-client";

const PAGE = (asked: string) => `<!doctype html><title>Provider</title><form action="/said">
<input type="hidden" name="asked" value="${encodeURIComponent(asked)}">
<label>E-mail <input name="email"></label> <button name="do" value="agree">Agree</button> <button name="do" value="refuse">Refuse</button>
</form>`;

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function token(claims: object): string {
  const signed = `${part({ alg: "RS256", kid: "1", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), privateKey).toString("base64url")}`;
}

/** A code that was given: to whom, for which question. */
interface Given {
  email: string;
  nonce: string | null;
  challenge: string | null;
}

class Provider {
  issuer = "";
  private readonly codes = new Map<string, Given>();

  answer(request: IncomingMessage, response: ServerResponse, body: string) {
    const url = new URL(request.url ?? "/", this.issuer);
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    switch (url.pathname) {
      case "/.well-known/openid-configuration":
        return json(200, this.configuration());
      case "/keys":
        return json(200, { keys: [{ ...publicKey.export({ format: "jwk" }), kid: "1", use: "sig", alg: "RS256" }] });
      case "/authorize":
        return response.writeHead(200, { "content-type": "text/html" }).end(PAGE(url.search));
      case "/said":
        return response.writeHead(303, { location: this.back(url.searchParams) }).end();
      case "/token": {
        const claims = this.redeem(request.headers.authorization, new URLSearchParams(body));
        if (!claims) return json(400, { error: "invalid_grant" });
        return json(200, { access_token: "unused", token_type: "Bearer", id_token: token(claims) });
      }
      default:
        return json(404, {});
    }
  }

  private configuration() {
    const at = (path: string) => `${this.issuer}${path}`;
    return {
      issuer: this.issuer,
      authorization_endpoint: at("/authorize"),
      token_endpoint: at("/token"),
      jwks_uri: at("/keys"),
      response_types_supported: ["code"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["RS256"],
    };
  }

  /** Where the browser goes with what was said. */
  private back(said: URLSearchParams): string {
    const asked = new URLSearchParams(decodeURIComponent(said.get("asked") ?? ""));
    const to = new URL(asked.get("redirect_uri") ?? "");
    to.searchParams.set("state", asked.get("state") ?? "");
    if (said.get("do") === "agree") {
      const code = randomUUID();
      this.codes.set(code, { email: said.get("email") ?? "", nonce: asked.get("nonce"), challenge: asked.get("code_challenge") });
      to.searchParams.set("code", code);
    } else {
      to.searchParams.set("error", "access_denied");
    }
    return to.href;
  }

  /** The claims that a code is good for, once. */
  private redeem(who: string | undefined, sent: URLSearchParams): object | undefined {
    const code = sent.get("code") ?? "";
    const given = this.codes.get(code);
    this.codes.delete(code);
    const verifier = createHash("sha256").update(sent.get("code_verifier") ?? "").digest("base64url");
    const client = `Basic ${Buffer.from(`${CLIENT}:${SECRET}`).toString("base64")}`;
    if (!given || who !== client || verifier !== given.challenge) return undefined;
    const now = Math.floor(Date.now() / 1000);
    const { email, nonce } = given;
    return { iss: this.issuer, aud: CLIENT, sub: email, email, email_verified: true, nonce, iat: now, exp: now + 60 };
  }
}

/** Starts a provider on a free port. */
export async function provide(): Promise<{ issuer: string; stop(): void }> {
  const provider = new Provider();
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (more: Buffer) => (body += more.toString()));
    request.on("end", () => provider.answer(request, response, body));
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  provider.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    issuer: provider.issuer,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
