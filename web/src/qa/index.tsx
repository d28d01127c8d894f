// QA: the calls, one of them with its sound and a review, what was drawn for a second look, and how far reviewers agree.
import { NavLink, Route, Routes } from "react-router";
import { useText } from "../text";
import { Agreement } from "./agreement";
import { CallPage } from "./call";
import { CallList } from "./calls";
import { Sample } from "./sample";
import "./qa.css";

export default function Qa() {
  const text = useText();
  const places = [
    ["/qa", text.qa.calls],
    ["/qa/sample", text.qa.sample],
    ["/qa/agreement", text.qa.agreement],
  ] as const;
  return (
    <div className="qa">
      <nav className="places" aria-label={text.pages.qa}>
        {places.map(([to, words]) => (
          <NavLink key={to} to={to} end>
            {words}
          </NavLink>
        ))}
      </nav>
      <Routes>
        <Route index element={<CallList />} />
        <Route path="sample" element={<Sample />} />
        <Route path="agreement" element={<Agreement />} />
        <Route path="call/:id" element={<CallPage />} />
      </Routes>
    </div>
  );
}
