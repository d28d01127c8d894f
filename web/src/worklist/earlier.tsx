import { useQueries, useQuery } from "@tanstack/react-query";
import { api, body } from "../api/client";
import { useText } from "../text";
import { useTimes } from "../text/times";

/** How many calls back are looked at. */
const CALLS = 4;

/** What was answered to the same question on the earlier calls of the stay. */
export function Earlier({ patient, episode, call, node }: { patient: string; episode: string | null; call: string; node: string }) {
  const text = useText();
  const times = useTimes();
  const attempts = useQuery({
    queryKey: ["attempts", "of", patient],
    queryFn: () => body(api.GET("/api/v1/patients/{id}/attempts", { params: { path: { id: patient } } })),
  });
  const before = (attempts.data?.items ?? [])
    .filter((attempt) => attempt.episode === episode && attempt.identified && attempt.id < call)
    .slice(0, CALLS);
  const calls = useQueries({
    queries: before.map(({ id }) => ({
      queryKey: ["call", id],
      queryFn: () => body(api.GET("/api/v1/calls/{id}", { params: { path: { id } } })),
      staleTime: Infinity,
    })),
  });
  const said = calls.flatMap(({ data }) => {
    const reply = data?.turns.find((turn) => turn.node === node && turn.reply)?.reply;
    return data && reply ? [{ attempt: data.attempt, reply }] : [];
  });
  return (
    <section>
      <h2>{text.order.earlier}</h2>
      {said.length === 0 && <span className="quiet">{text.order.noEarlier}</span>}
      {said.map(({ attempt, reply }) => (
        <p key={attempt.id} style={{ margin: 0 }}>
          {text.day(attempt.day)} · {times.moment(attempt.started_at)}: <span translate="no">“{reply.text || text.order.byKeys(reply.keys)}”</span>
        </p>
      ))}
    </section>
  );
}
