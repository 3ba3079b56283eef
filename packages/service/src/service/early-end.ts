/**
 * The first process of a container gets no signal that it has no handler for, so that one which is told to end while it still
 * loads its code would never hear of it, and serve on until it is killed. A service's main imports this before anything else:
 * until `runService` listens, who is told to end ends at once, since nothing has begun. Nothing else may import it: in another
 * program, such as `tessera up`, it would end what is to be drained.
 */
import { endAtSignals } from './early-signals.js';

endAtSignals();
