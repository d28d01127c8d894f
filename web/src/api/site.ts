// The hospital's names, zone, and the names of what the robot listens for.
import { useQuery } from "@tanstack/react-query";
import { useCallback } from "react";
import { useLanguage } from "../text";
import { api, body, type Site } from "./client";

export function useSite(): Site | undefined {
  return useQuery({ queryKey: ["site"], queryFn: () => body(api.GET("/api/v1/site")), staleTime: Infinity }).data;
}

/** Names a concept or a detail of one as the clinicians' list does. */
export function useConcepts(): (id: string | null | undefined) => string {
  const concepts = useSite()?.concepts;
  const { lang } = useLanguage();
  return useCallback(
    (id) => {
      const found = concepts?.find((concept) => concept.id === id);
      return found ? found[lang] : (id ?? "");
    },
    [concepts, lang],
  );
}
