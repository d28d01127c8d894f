// Who is signed in, and what that role may see. Nothing of it is kept when the page is closed.
import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { onSignedOut, Problem, proofHeaders, prove } from "./client";

export type Role =
  | "nurse"
  | "clinician"
  | "author"
  | "qa"
  | "system_admin"
  | "security_admin"
  | "auditor"
  | "service";

export interface Me {
  name: string;
  displayName: string;
  roles: Role[];
  /** A code is asked for beside the password. */
  twoFactor: boolean;
  /** Nothing is answered before one is set up. */
  secondFactorNeeded: boolean;
  /** Nobody has given the account a ward: it sees no patient. */
  hasNoWard: boolean;
}

/** What people do with scripts. */
type Bench = "scripts" | "edit_scripts" | "sign_scripts" | "publish_scripts";

/** What a page needs of a role. The server decides again at every request. */
export type Right = "orders" | "work" | "calls" | "review" | "patients" | "plans" | "figures" | "audit" | Bench | "staff";

const RIGHTS: Record<Role, Right[]> = {
  nurse: ["orders", "work", "calls", "patients"],
  clinician: ["orders", "work", "calls", "review", "patients", "figures", "scripts", "sign_scripts"],
  author: ["figures", "scripts", "edit_scripts"],
  qa: ["orders", "calls", "review", "patients", "figures", "scripts"],
  system_admin: ["patients", "plans", "figures", "scripts", "publish_scripts"],
  security_admin: ["staff"],
  auditor: ["audit"],
  service: ["orders", "work", "calls", "review", "patients", "plans", "figures", "scripts"],
};

export function may(me: Me, right: Right): boolean {
  return me.roles.some((role) => RIGHTS[role].includes(right));
}

/** What the form asks for. */
export interface Credentials {
  name: string;
  password: string;
  code?: string;
}

interface Session {
  /** `undefined` until the server was asked. */
  me: Me | null | undefined;
  signIn(with_: Credentials): Promise<void>;
  signOut(): Promise<void>;
  /** Asks the server once more who is signed in. */
  refresh(): Promise<void>;
}

const Context = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(Context);
  if (!session) throw new Error("no session above");
  return session;
}

/** Who is signed in, below the sign-in page. */
export function useMe(): Me {
  const { me } = useSession();
  if (!me) throw new Error("nobody is signed in");
  return me;
}

const URL = "/api/v1/session";

interface SessionBody {
  name: string;
  display_name: string;
  roles: Role[];
  two_factor: boolean;
  second_factor_needed: boolean;
  /** Left out: every ward. */
  wards?: string[] | null;
  csrf: string;
}

async function ask(method: "GET" | "POST" | "DELETE", sent?: unknown): Promise<Response> {
  const headers: Record<string, string> = proofHeaders(method);
  if (sent !== undefined) headers["content-type"] = "application/json";
  return fetch(URL, { method, headers, ...(sent === undefined ? {} : { body: JSON.stringify(sent) }) });
}

async function told(response: Response): Promise<Me> {
  const known = (await response.json()) as SessionBody;
  prove(known.csrf);
  return {
    name: known.name,
    displayName: known.display_name || known.name,
    roles: known.roles,
    twoFactor: known.two_factor,
    secondFactorNeeded: known.second_factor_needed,
    hasNoWard: known.wards?.length === 0,
  };
}

async function problem(response: Response): Promise<Problem> {
  const said = (await response.json().catch(() => ({}))) as { code?: string; detail?: string };
  return new Problem(said.code ?? "internal", response.status, said.detail ?? response.statusText);
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const [me, setMe] = useState<Me | null>();

  const refresh = useCallback(async () => {
    const response = await ask("GET").catch(() => null);
    setMe(response?.ok ? await told(response) : null);
  }, []);

  useEffect(() => {
    onSignedOut(() => {
      prove(null);
      setMe(null);
    });
    void refresh();
  }, [refresh]);

  const signIn = useCallback(async (credentials: Credentials) => {
    const response = await ask("POST", credentials);
    if (!response.ok) throw await problem(response);
    setMe(await told(response));
  }, []);

  const signOut = useCallback(async () => {
    await ask("DELETE").catch(() => null);
    prove(null);
    setMe(null);
  }, []);

  const session = useMemo(() => ({ me, signIn, signOut, refresh }), [me, signIn, signOut, refresh]);
  return <Context value={session}>{children}</Context>;
}
