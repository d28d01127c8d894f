// The hours of a week set by half hours, the law's beneath: what it forbids cannot be opened.
import { AutoComplete, Button, Modal, Space } from "antd";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState, type KeyboardEvent } from "react";
import { api, body } from "../api/client";
import type { components } from "../api/schema";
import { useTell } from "../frame/problems";
import { useText } from "../text";
import { useTimes } from "../text/times";
import { DAYS, minutes } from "./week";

type Hours = components["schemas"]["CallingHours"];
type Layer = components["schemas"]["LayerView"];
type Stretch = components["schemas"]["Stretch"];

const HALF_HOURS = 48;

const clock = (half: number) => `${String(Math.floor(half / 2)).padStart(2, "0")}:${half % 2 ? "30" : "00"}`;

/** Which half hours of a day are open as a whole: one that is open in part is shown closed, so that saving never widens. */
function halves(open: Stretch[]): boolean[] {
  const within = (half: number) => open.some(({ from, to }) => minutes(from) <= 30 * half && 30 * (half + 1) <= minutes(to));
  return Array.from({ length: HALF_HOURS }, (_, half) => within(half));
}

function stretches(open: boolean[]): Stretch[] {
  const found: Stretch[] = [];
  open.forEach((is, half) => {
    if (!is) return;
    const last = found.at(-1);
    if (last && open[half - 1]) last.to = `${clock(half + 1)}:00`;
    else found.push({ from: `${clock(half)}:00`, to: `${clock(half + 1)}:00` });
  });
  return found;
}

const weekOf = (layer: Layer | undefined) => DAYS.map((day) => halves(layer?.week[day] ?? []));
const openHours = (week: boolean[][]) => week.flat().filter(Boolean).length / 2;

export function EditHours({ hours, onClose }: { hours: Hours; onClose(): void }) {
  const text = useText();
  const { moment } = useTimes();
  const { failed, done } = useTell();
  const queries = useQueryClient();
  const [department, setDepartment] = useState("");
  const layerOf = (name: string) => hours.layers.find((layer) => (name ? layer.layer === "department" && layer.name === name : layer.layer === "hospital"));
  const layer = layerOf(department);
  const hospital = layerOf("");
  const law = weekOf(hours.layers.find((one) => one.layer === "law"));
  const [week, setWeek] = useState(() => weekOf(hospital));
  const choose = (name: string) => {
    setDepartment(name);
    // Who has none of their own have the hospital's.
    setWeek(weekOf(layerOf(name) ?? hospital));
  };
  const settle = {
    onSuccess: () => {
      done(text.admin.hours.saved);
      void queries.invalidateQueries({ queryKey: ["calling_hours"] });
      onClose();
    },
    onError: failed,
  };
  const whose = department === "" ? {} : { department };
  const save = useMutation({
    mutationFn: () => body(api.PUT("/api/v1/calling-hours", { body: { ...whose, week: week.map(stretches) } })),
    ...settle,
  });
  const reset = useMutation({
    mutationFn: () => body(api.DELETE("/api/v1/calling-hours", { params: { query: whose } })),
    ...settle,
  });
  const isNew = JSON.stringify(week) !== JSON.stringify(weekOf(layer));
  return (
    <Modal
      open
      width={1120}
      title={text.admin.hours.edit}
      onCancel={onClose}
      footer={
        <Space>
          {layer?.set && (
            <Button onClick={() => reset.mutate()} loading={reset.isPending}>
              {text.admin.hours.reset}
            </Button>
          )}
          <Button onClick={onClose}>{text.cancel}</Button>
          <Button type="primary" disabled={!isNew} loading={save.isPending} onClick={() => save.mutate()}>
            {text.admin.hours.save}
          </Button>
        </Space>
      }
    >
      <Space direction="vertical" style={{ width: "100%" }}>
        <AutoComplete
          style={{ width: 320 }}
          value={department}
          onChange={choose}
          placeholder={text.admin.hours.whole}
          aria-label={text.admin.hours.department}
          options={hours.layers.filter((one) => one.layer === "department").map((one) => ({ value: one.name }))}
        />
        <p className="quiet">
          {layer?.set ? text.admin.hours.setBy(layer.set.by, moment(layer.set.at)) : text.admin.hours.configured} {text.admin.hours.editHelp}
        </p>
        <Grid week={week} law={law} set={setWeek} />
        <p aria-live="polite">{text.admin.hours.openHours(openHours(weekOf(layer ?? hospital)), openHours(week))}</p>
      </Space>
    </Modal>
  );
}

/** One cell is reached by Tab, the others by the arrows; Space or a press turns it, a drag paints. */
function Grid({ week, law, set }: { week: boolean[][]; law: boolean[][]; set(week: boolean[][]): void }) {
  const text = useText();
  const lawful = Array.from({ length: HALF_HOURS }, (_, half) => half).filter((half) => law.some((day) => day[half]));
  const [at, setAt] = useState({ day: 0, half: lawful[0] ?? 0 });
  const [paint, setPaint] = useState<boolean | null>(null);
  const turn = (day: number, half: number, open: boolean) => {
    if (law[day]?.[half]) set(week.map((halves, one) => (one === day ? halves.map((is, place) => (place === half ? open : is)) : halves)));
  };
  const move = (event: KeyboardEvent) => {
    const steps: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const day = Math.min(6, Math.max(0, at.day + step[0]));
    const half = lawful[Math.min(lawful.length - 1, Math.max(0, lawful.indexOf(at.half) + step[1]))] ?? at.half;
    setAt({ day, half });
    event.currentTarget.querySelector<HTMLElement>(`[data-cell="${day}.${half}"]`)?.focus();
  };
  return (
    <table className="week edit" role="grid" aria-label={text.admin.hours.edit} onKeyDown={move} onPointerUp={() => setPaint(null)} onPointerLeave={() => setPaint(null)}>
      <thead>
        <tr>
          <td />
          {lawful.map((half) => (
            <th key={half} scope="col">
              {half % 2 ? "" : half / 2}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {DAYS.map((day) => (
          <tr key={day}>
            <th scope="row">{text.admin.weekday[day]}</th>
            {lawful.map((half) => {
              const open = week[day]?.[half] ?? false;
              const may = law[day]?.[half] ?? false;
              const when = `${text.admin.weekday[day]} ${clock(half)}–${clock(half + 1)}`;
              return (
                <td key={half} role="gridcell" className={may ? (open ? "open" : "shut") : "against"}>
                  <button
                    type="button"
                    data-cell={`${day}.${half}`}
                    tabIndex={at.day === day && at.half === half ? 0 : -1}
                    aria-pressed={open}
                    disabled={!may}
                    aria-label={when}
                    title={may ? when : `${when}: ${text.admin.hours.law}`}
                    onFocus={() => setAt({ day, half })}
                    onPointerDown={(event) => {
                      event.currentTarget.releasePointerCapture(event.pointerId);
                      setPaint(!open);
                      turn(day, half, !open);
                    }}
                    onPointerEnter={() => paint !== null && turn(day, half, paint)}
                    onKeyDown={(event) => {
                      if (event.key !== " " && event.key !== "Enter") return;
                      event.preventDefault();
                      turn(day, half, !open);
                    }}
                  />
                </td>
              );
            })}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
