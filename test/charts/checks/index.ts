import type { Check } from '../support/manifest.js';
import {
  callersSpeakTls,
  devicesAreThere,
  engineAddressesLead,
  natsIsReached,
  sharedSettingsAgree,
} from './agreement.js';
import { autoscalersHaveTheirTarget } from './autoscaling.js';
import { budgetsLeaveOne } from './disruption.js';
import { nothingHooks, objectsAreNamed } from './names.js';
import { edgesAreTheArchitectures } from './network.js';
import { probesMeetPorts, servicesMeetPorts } from './ports.js';
import { containersAreHeld, imagesArePinned, podsStayApart } from './security.js';
import { selectorsMeetPods, statefulSetsHaveTheirService } from './selectors.js';
import { filesAreMounted, settingsAreTheServices, settingsMeetThePod } from './settings.js';
import { metricsAreDeclared, queuesAreTheTargets } from './signals.js';
import { mountsMeetVolumes, referencesLead } from './volumes.js';

/** What must hold of every release, whatever its values. checks.test.ts breaks each of them once. */
export const checks = {
  autoscalersHaveTheirTarget,
  budgetsLeaveOne,
  callersSpeakTls,
  containersAreHeld,
  devicesAreThere,
  edgesAreTheArchitectures,
  engineAddressesLead,
  filesAreMounted,
  imagesArePinned,
  metricsAreDeclared,
  mountsMeetVolumes,
  natsIsReached,
  nothingHooks,
  objectsAreNamed,
  podsStayApart,
  probesMeetPorts,
  queuesAreTheTargets,
  referencesLead,
  selectorsMeetPods,
  servicesMeetPorts,
  settingsAreTheServices,
  settingsMeetThePod,
  sharedSettingsAgree,
  statefulSetsHaveTheirService,
} satisfies Record<string, Check>;
