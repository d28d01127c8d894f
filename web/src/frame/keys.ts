// Keys for a whole page: single letters, never while somebody writes or a dialog is open.
import { useEffect, useRef } from "react";

export type Keys = Partial<Record<string, () => void>>;

export function useKeys(keys: Keys, active = true) {
  const now = useRef(keys);
  useEffect(() => {
    now.current = keys;
  });
  useEffect(() => {
    if (!active) return;
    const press = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
      const on = event.target instanceof Element ? event.target : null;
      if (on?.closest("input, textarea, select, [contenteditable], [role=combobox], [role=dialog]")) return;
      const act = now.current[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [active]);
}
