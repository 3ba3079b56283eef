export { formatTimeline } from './chat/timeline.js';
export { Asker, newPicture } from './profile/asker.js';
export { measureProfile } from './profile/measure-profile.js';
export { Meter, type Spent } from './profile/meter.js';
export { ChildService, type ServiceReady } from './up/child-service.js';
export { type ServiceName, Stack, type StackOptions, serviceNames } from './up/stack.js';
