import { useQuery } from "@tanstack/react-query";
import { api, body } from "../api/client";
import { useText, word } from "../text";
import { useTimes } from "../text/times";

/** Who did what with an order, the first first. */
export function History({ order }: { order: string }) {
  const text = useText();
  const times = useTimes();
  const found = useQuery({
    queryKey: ["history", order],
    queryFn: () => body(api.GET("/api/v1/work-orders/{id}/events", { params: { path: { id: order } } })),
  });
  if (!found.data) return null;
  return (
    <section style={{ marginTop: 12 }}>
      <h2>{text.order.history}</h2>
      {found.data.items.map((event, place) => (
        <div key={place}>
          <span className="figure">{times.moment(event.at)}</span> {word(text.event, event.what)}{" "}
          <span translate="no">
            {[event.who, event.owner && event.owner !== event.who ? `→ ${event.owner}` : "", event.note].filter(Boolean).join(" ")}
          </span>
        </div>
      ))}
    </section>
  );
}
