// A chart of ECharts with the parts that these pages draw. Whoever cannot see it has the table beside it.
import { BarChart, HeatmapChart, LineChart } from "echarts/charts";
import { AriaComponent, GridComponent, LegendComponent, TooltipComponent, VisualMapComponent } from "echarts/components";
import { init, use, type EChartsCoreOption } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";

use([BarChart, HeatmapChart, LineChart, AriaComponent, GridComponent, LegendComponent, TooltipComponent, VisualMapComponent, CanvasRenderer]);

export type ChartOption = EChartsCoreOption;

interface Props {
  option: ChartOption;
  /** What it shows, for who hears the page. */
  label: string;
  height: number;
  click?: (name: string) => void;
}

export function Chart({ option, label, height, click }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const clicked = useRef(click);
  useEffect(() => {
    clicked.current = click;
  });
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const chart = init(element);
    chart.setOption({ animation: false, ...option });
    chart.on("click", ({ name }) => clicked.current?.(name));
    const sizes = new ResizeObserver(() => chart.resize());
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      chart.dispose();
    };
  }, [option]);
  return <div ref={place} role="img" aria-label={label} style={{ height, width: "100%" }} />;
}
