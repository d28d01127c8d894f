// The API's client. Paths, bodies and answers are typed from the OpenAPI document (schema.d.ts is generated).
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type WorkOrder = Schemas["WorkOrderView"];
export type Cause = Schemas["CauseView"];
export type Finding = Schemas["FindingView"];
export type Trend = Schemas["TrendView"];
export type Patient = Schemas["PatientView"];
export type Call = Schemas["CallView"];
export type Turn = Schemas["TurnView"];
export type Attempt = Schemas["AttemptView"];
export type Plan = Schemas["PlanView"];
export type Site = Schemas["SiteView"];
export type CallSearch = Schemas["CallSearch"];
export type CallLine = Schemas["CallLineView"];
export type LiveCall = Schemas["LiveCallView"];
export type Suppressed = Schemas["SuppressedView"];
export type ScoreForm = Schemas["FormView"];
export type Mark = Schemas["MarkView"];
export type Review = Schemas["ReviewView"];
export type ReviewBody = Schemas["ReviewBody"];
export type Reviews = Schemas["ReviewsView"];
export type AuditItem = Schemas["AuditItemView"];
export type Verdict = "right" | "wrong" | "missed";
export type ProblemBody = Schemas["Problem"];

/** What the server says of a request that it did not do. */
export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

/** What a change carries beside the cookie of the sign-in (session.tsx): no other site can read it. */
let csrf: string | null = null;

export function prove(by: string | null) {
  csrf = by;
}

export function proofHeaders(method: string): Record<string, string> {
  return csrf && method !== "GET" ? { "x-csrf-token": csrf } : {};
}

let signedOut: () => void = () => undefined;

/** Calls back when the server no longer knows who asks. */
export function onSignedOut(then: () => void) {
  signedOut = then;
}

const carry: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(proofHeaders(request.method))) request.headers.set(name, value);
    return request;
  },
  onResponse({ response, schemaPath }) {
    if (response.status === 401 && !schemaPath.endsWith("/session")) signedOut();
  },
};

export const api = createClient<paths>({ baseUrl: "" });
api.use(carry);

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The body of an answer; a failure becomes a [`Problem`]. */
export async function body<T>(asked: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch {
    throw new Problem("unreachable", 0, "the server does not answer");
  }
  if (answer.response.ok) return answer.data as T;
  const told = (answer.error ?? {}) as Partial<ProblemBody>;
  throw new Problem(told.code ?? "internal", answer.response.status, told.detail ?? answer.response.statusText);
}
