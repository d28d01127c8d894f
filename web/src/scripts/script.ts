// What the parts of the bench share: a version of a script and its drafts.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { api, body } from "../api/client";
import type { components } from "../api/schema";

export type ScriptLang = "zh" | "en";
export type ScriptView = components["schemas"]["ScriptView"];
export type NodeView = components["schemas"]["NodeView"];
export type NodeFigures = components["schemas"]["NodeFigures"];
export type Draft = components["schemas"]["DraftView"];
export type ScriptFault = components["schemas"]["ErrorView"];

/** Which version is shown, and how another is chosen. */
export interface Shown {
  id: string;
  lang: ScriptLang;
  draft: string | null;
  pick(draft: string | null): void;
}

export function useVersion(id: string, lang: ScriptLang, draft: string | null) {
  return useQuery({
    queryKey: ["script", id, lang, draft],
    queryFn: () => body(api.GET("/api/v1/scripts/{id}", { params: { path: { id }, query: { lang, ...(draft ? { draft } : {}) } } })),
  });
}

export function useDrafts(id: string) {
  return useQuery({
    queryKey: ["drafts", id],
    queryFn: () => body(api.GET("/api/v1/scripts/{id}/drafts", { params: { path: { id } } })),
    enabled: id !== "",
  });
}

/** After a draft has changed: everything that shows it. */
export function useDraftsAgain() {
  const queries = useQueryClient();
  return () => {
    for (const key of ["drafts", "script", "scripts"]) void queries.invalidateQueries({ queryKey: [key] });
  };
}
