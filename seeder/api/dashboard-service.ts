/** DashboardService: translates and calls. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { DashboardService } from "../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import type { Dashboard } from "../dashboard/dashboard.ts";

export function createDashboardService(dashboard: Dashboard): ServiceImpl<typeof DashboardService> {
  return {
    watch: (_request, context) => dashboard.watch(context.signal),
  };
}
