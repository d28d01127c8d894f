// The figures of a period as the server counts them, and how a value is written.
import { useQuery } from "@tanstack/react-query";
import { api, body } from "../api/client";
import type { components } from "../api/schema";
import { useLanguage, type Texts } from "../text";

export type PeriodFigures = components["schemas"]["PeriodFigures"];
export type FigureNote = components["schemas"]["FigureNote"];
export type Value = components["schemas"]["ValueView"];
export const BY = ["day", "ward", "script", "age_band", "dialect", "party"] as const;
export type By = (typeof BY)[number];
export type Only = "reached" | "not_reached" | "right_party" | "completed" | "not_completed" | "not_screened" | "alerted";

export interface Asked {
  first?: string;
  last?: string;
  by: By;
  ward?: string;
  script?: string;
  ages?: string;
  dialect?: string;
  party?: string;
}

export const AGES = ["0-17", "18-44", "45-64", "65-79", "80+"];

/** Which calls stand behind a figure that is drilled into. */
export const BEHIND: Record<string, Only | null> = {
  reach: "not_reached",
  right_party: "right_party",
  completion: "not_completed",
  screen_completion: "not_screened",
  alert_rate: "alerted",
};

export function usePeriod(asked: Asked) {
  const { lang } = useLanguage();
  return useQuery({
    queryKey: ["figures", asked, lang],
    queryFn: () => body(api.GET("/api/v1/figures", { params: { query: { ...asked, lang } } })),
    placeholderData: (before) => before,
  });
}

export function useCallsBehind(asked: Asked, only: Only | null, active: boolean) {
  const { by: _, ...query } = asked;
  return useQuery({
    queryKey: ["figures", "calls", asked, only],
    queryFn: () => body(api.GET("/api/v1/figures/calls", { params: { query: { ...query, ...(only ? { only } : {}) } } })),
    enabled: active,
  });
}

export function written(unit: string, value: number | null | undefined, text: Texts): string {
  if (value == null) return "–";
  if (unit === "share") return `${(100 * value).toFixed(1)} %`;
  if (unit === "seconds") return text.admin.duration(value);
  if (unit === "balance") return value.toFixed(0);
  return value.toFixed(unit === "money" || unit === "orders" ? 2 : 1);
}
