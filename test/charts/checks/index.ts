import type { Check } from '../support/manifest.js';
import { autoscalersHaveTheirTarget } from './autoscaling.js';
import { budgetsLeaveOne } from './disruption.js';
import { nothingHooks, objectsAreNamed } from './names.js';
import { edgesAreTheArchitectures } from './network.js';
import { probesMeetPorts, servicesMeetPorts } from './ports.js';
import { containersAreHeld, imagesArePinned, podsStayApart } from './security.js';
import { selectorsMeetPods, statefulSetsHaveTheirService } from './selectors.js';
import { filesAreMounted, settingsAreTheServices, settingsMeetThePod } from './settings.js';
import { mountsMeetVolumes, referencesLead } from './volumes.js';

/** What must hold of every release, whatever its values. checks.test.ts breaks each of them once. */
export const checks = {
  autoscalersHaveTheirTarget,
  budgetsLeaveOne,
  containersAreHeld,
  edgesAreTheArchitectures,
  filesAreMounted,
  imagesArePinned,
  mountsMeetVolumes,
  nothingHooks,
  objectsAreNamed,
  podsStayApart,
  probesMeetPorts,
  referencesLead,
  selectorsMeetPods,
  servicesMeetPorts,
  settingsAreTheServices,
  settingsMeetThePod,
  statefulSetsHaveTheirService,
} satisfies Record<string, Check>;
