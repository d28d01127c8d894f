// What changes is told by the server (ids only); what is shown of it is asked for again.
import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";

interface Change {
  event: string;
  subject: string;
  now?: string;
}

/** Milliseconds by which the engine's clock is ahead of this machine's. */
const Ahead = createContext(0);
const Live = createContext(true);

/** Whether changes are told as they come. */
export function useIsLive(): boolean {
  return useContext(Live);
}

/** The engine's time, anew every second. */
export function useNow(): number {
  const ahead = useContext(Ahead);
  const [now, setNow] = useState(() => Date.now() + ahead);
  useEffect(() => {
    const tick = () => setNow(Date.now() + ahead);
    tick();
    const timer = setInterval(tick, 1000);
    return () => clearInterval(timer);
  }, [ahead]);
  return now;
}

/** Reads server-sent events (HTML Standard §9.2.6); EventSource does not say why it was refused. */
async function* lines(response: Response): AsyncGenerator<{ id: string | null; change: Change }> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) {
      let id: string | null = null;
      let data = "";
      for (const line of part.split("\n")) {
        if (line.startsWith("id:")) id = line.slice(3).trim();
        if (line.startsWith("data:")) data += line.slice(5).trim();
      }
      if (data) yield { id, change: JSON.parse(data) as Change };
    }
  }
}

function refetch(queries: QueryClient, change: Change) {
  const [kind] = change.event.split(".");
  const ask = (...key: string[]) => void queries.invalidateQueries({ queryKey: key });
  if (change.event === "reset") ask();
  else if (kind === "work_order") {
    ask("orders");
    ask("order", change.subject);
    ask("history", change.subject);
  } else if (kind === "call") {
    ask("attempts");
    ask("call", change.subject);
    ask("live");
  }
}

const AGAIN_MS = [1000, 2000, 5000, 10000];
/** The server beats every 15 s: who heard nothing for so long has lost the line. */
const SILENCE_MS = 40_000;

export function EventsProvider({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const [ahead, setAhead] = useState(0);
  const [live, setLive] = useState(true);
  useEffect(() => {
    const page = new AbortController();
    void (async () => {
      let last = "";
      let failures = 0;
      while (!page.signal.aborted) {
        const line = new AbortController();
        const end = () => line.abort();
        page.signal.addEventListener("abort", end);
        let silence = setTimeout(end, SILENCE_MS);
        try {
          const headers: Record<string, string> = last ? { "last-event-id": last } : {};
          const response: Response = await fetch("/api/v1/events", { headers, signal: line.signal });
          if (!response.ok || !response.body) throw new Error(String(response.status));
          // What changed while nobody listened.
          if (failures > 0) refetch(queries, { event: "reset", subject: "" });
          failures = 0;
          setLive(true);
          for await (const { id, change } of lines(response)) {
            clearTimeout(silence);
            silence = setTimeout(end, SILENCE_MS);
            if (id) last = id;
            if (change.now) setAhead(Date.parse(change.now) - Date.now());
            else refetch(queries, change);
          }
        } catch {
          failures += 1;
        } finally {
          clearTimeout(silence);
          page.signal.removeEventListener("abort", end);
        }
        if (page.signal.aborted) return;
        if (failures > 1) setLive(false);
        const pause = failures === 0 ? 0 : (AGAIN_MS[Math.min(failures, AGAIN_MS.length) - 1] ?? 1000);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    })();
    return () => page.abort();
  }, [queries]);
  return (
    <Ahead value={ahead}>
      <Live value={live}>{children}</Live>
    </Ahead>
  );
}
