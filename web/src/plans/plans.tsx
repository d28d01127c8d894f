// What an admin looks after: who is due and why somebody was not rung, pauses, lists, numbers, hours, trunks.
import { lazy, Suspense, type ComponentType } from "react";
import { Navigate, Route, Routes } from "react-router";
import { Parts } from "../frame/parts";
import { useText } from "../text";
import "./plans.css";

const PARTS = ["patients", "pauses", "imports", "do_not_call", "hours", "trunks"] as const;
type Part = (typeof PARTS)[number];

const SHOWN: Record<Part, ComponentType> = {
  patients: lazy(() => import("./patients")),
  pauses: lazy(() => import("./pauses")),
  imports: lazy(() => import("./imports")),
  do_not_call: lazy(() => import("./do_not_call")),
  hours: lazy(() => import("./hours")),
  trunks: lazy(() => import("./trunks")),
};

export default function Plans() {
  const text = useText();
  return (
    <div className="page plans">
      <h1>{text.pages.plans}</h1>
      <Parts label={text.pages.plans} parts={PARTS.map((name) => ({ to: `/plans/${name}`, shown: text.admin.plans[name] }))} />
      <Suspense>
        <Routes>
          {PARTS.map((name) => {
            const Shown = SHOWN[name];
            return <Route key={name} path={`${name}/*`} element={<Shown />} />;
          })}
          <Route path="*" element={<Navigate to="/plans/patients" replace />} />
        </Routes>
      </Suspense>
    </div>
  );
}
