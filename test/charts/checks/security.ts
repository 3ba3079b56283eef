import { type Check, containers, named, workloads } from '../support/manifest.js';

/** What each container may not do, whatever its service: as docs/charts.md promises. */
export const containersAreHeld: Check = (release) =>
  containers(release).flatMap(({ container, workload, where }) => {
    const pod = workload.template.spec?.securityContext ?? {};
    const own = container.securityContext ?? {};
    const faults: string[] = [];
    const must = (holds: boolean, what: string): void => {
      if (!holds) faults.push(`${where} ${what}`);
    };
    must((own.runAsNonRoot ?? pod.runAsNonRoot) === true, 'may run as root');
    must((own.runAsUser ?? pod.runAsUser ?? 0) > 0, 'has no user of its own');
    must(own.readOnlyRootFilesystem === true, 'may write to its root');
    must(own.allowPrivilegeEscalation === false, 'may gain privileges');
    must(own.privileged !== true, 'is privileged');
    must(
      own.capabilities?.drop?.includes('ALL') === true && (own.capabilities.add ?? []).length === 0,
      'keeps capabilities',
    );
    must((own.seccompProfile ?? pod.seccompProfile)?.type === 'RuntimeDefault', 'has no seccomp profile');
    const { requests = {}, limits = {} } = container.resources ?? {};
    for (const name of ['cpu', 'memory']) must(requests[name] !== undefined, `requests no ${name}`);
    must(limits.memory !== undefined, 'has no limit of memory');
    return faults;
  });

/** No pod has the token of an account, shares the node's namespaces or mounts its folders. */
export const podsStayApart: Check = (release) =>
  workloads(release).flatMap(({ manifest, template }) => {
    const { automountServiceAccountToken, hostNetwork, hostPID, hostIPC, volumes = [] } = template.spec ?? {};
    const faults: string[] = [];
    if (automountServiceAccountToken !== false) faults.push(`${named(manifest)} gives its pods a token`);
    if (hostNetwork || hostPID || hostIPC) faults.push(`${named(manifest)} shares a namespace of the node`);
    for (const { name, hostPath } of volumes) {
      if (hostPath !== undefined) faults.push(`${named(manifest)} mounts ${hostPath.path} of the node (${name})`);
    }
    return faults;
  });

/** An image is known by a tag that does not move, or by its digest. */
export const imagesArePinned: Check = (release) =>
  containers(release).flatMap(({ container: { image = '' }, where }) => {
    const [, tag = '', digest = ''] = /^[^@]*?(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(image) ?? [];
    if (digest !== '' || (tag !== '' && tag !== 'latest')) return [];
    return [`${where}: its image '${image}' has neither a tag that stays nor a digest`];
  });
