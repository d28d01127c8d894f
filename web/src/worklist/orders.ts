// The orders that are not closed: the list, its filters, and what of it is an emergency.
import { useInfiniteQuery } from "@tanstack/react-query";
import { api, body, type Cause, type WorkOrder } from "../api/client";
import { word, type Texts } from "../text";

export type Urgency = "emergent" | "urgent" | "same_day" | "routine";

export interface Filters {
  ward: string | null;
  urgency: Urgency | null;
  state: "open" | "acknowledged" | null;
  mine: boolean;
}

export const NO_FILTERS: Filters = { ward: null, urgency: null, state: null, mine: false };

/** By urgency, then age, as the server orders them. */
export function useOrders() {
  return useInfiniteQuery({
    queryKey: ["orders"],
    queryFn: ({ pageParam }) =>
      body(api.GET("/api/v1/work-orders", { params: { query: { limit: 200, ...(pageParam ? { cursor: pageParam } : {}) } } })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
    // The events may be cut off; an emergency must show all the same.
    refetchInterval: 30_000,
  });
}

export function fits(order: WorkOrder, filters: Filters, me: string): boolean {
  return (
    (filters.ward === null || order.ward === filters.ward) &&
    (filters.urgency === null || order.urgency === filters.urgency) &&
    (filters.state === null || order.state === filters.state) &&
    (!filters.mine || order.owner === me)
  );
}

export function openEmergencies(orders: WorkOrder[]): string[] {
  return orders.filter((order) => order.urgency === "emergent" && order.state === "open").map((order) => order.id);
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
