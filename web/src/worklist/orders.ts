// The orders that are not closed: the list, its filters, and what of it is an emergency.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { api, body, type Cause, type WorkOrder } from "../api/client";
import { word, type Texts } from "../text";

export type Urgency = "emergent" | "urgent" | "same_day" | "routine";

export interface Filters {
  ward: string | null;
  urgency: Urgency | null;
  state: "open" | "acknowledged" | null;
  mine: boolean;
}

/** Rows that are shown at once; more are a press away. */
const PAGE = 50;

export const NO_FILTERS: Filters = { ward: null, urgency: null, state: null, mine: false };

/** The events may be cut off; an emergency must show all the same. */
const AGAIN_MS = 30_000;

/** By urgency, then age, as the server orders and narrows them. */
export function useOrders({ ward, urgency, state, mine }: Filters) {
  const narrowed = { ...(ward && { ward }), ...(urgency && { urgency }), ...(state && { state }), ...(mine && { mine }) };
  return useInfiniteQuery({
    queryKey: ["orders", "listed", narrowed],
    queryFn: ({ pageParam }) =>
      body(api.GET("/api/v1/work-orders", { params: { query: { ...narrowed, limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) } } })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: AGAIN_MS,
    placeholderData: (before) => before,
  });
}

/** The open emergencies, whatever the list is narrowed to; `null` until they are known. */
export function useOpenEmergencies(): string[] | null {
  const found = useQuery({
    queryKey: ["orders", "emergencies"],
    queryFn: () => body(api.GET("/api/v1/work-orders", { params: { query: { state: "open", urgency: "emergent", limit: 200 } } })),
    refetchInterval: AGAIN_MS,
  });
  return useMemo(() => found.data?.items.map((order) => order.id) ?? null, [found.data]);
}

/** What a list says of an order: what was heard, where anything was. */
export function orderWords(order: WorkOrder, text: Texts, concept: (id: string | null | undefined) => string): string {
  const heard = order.causes.filter((cause) => cause.finding);
  const words = (heard.length > 0 ? heard : order.causes).map((cause) => causeWords(cause, text, concept));
  return [...new Set(words)].join(" · ");
}

/** A cause in a few words. */
export function causeWords(cause: Cause, text: Texts, concept: (id: string | null | undefined) => string): string {
  if (cause.finding) return concept(cause.finding.detail ?? cause.finding.concept);
  if (cause.trend) return `${trendName(cause.trend, text, concept)}: ${word(text.direction, cause.trend.direction)}`;
  if (cause.pack) return `${word(text.cause, cause.kind)}: ${cause.pack.concepts.map(concept).join(", ")}`;
  if (cause.reason) return `${word(text.cause, cause.kind)}: ${word(text.reason, cause.reason)}`;
  if (cause.kind === "task" && cause.words) return `${word(text.cause, cause.kind)}: ${word(text.task, cause.words)}`;
  return word(text.cause, cause.kind);
}

export function trendName(
  trend: { kind: string; line: string },
  text: Texts,
  concept: (id: string | null | undefined) => string,
): string {
  return trend.kind === "concept" ? concept(trend.line) : word(text.measure, trend.line);
}
