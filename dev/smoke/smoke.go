// Package smoke runs the local cloud end to end, with faults, and judges it.
//
// People move in simulated Teams, the real handler runs under the simulated
// Functions host with one process per function group, a polling and a pushed
// consumer follow the feed, and processes are killed without warning. When the
// movement has stopped and both consumers are equal to Teams (or time is up),
// [Judge] compares what each consumer saw with the ground truth:
//
//   - lost: an appended change that never reached a consumer, a wrong final state,
//     or a state held for 3 s or more in undisturbed service and never delivered;
//     shorter or disturbed ones are skipped;
//   - reordered: a change that arrives for the first time after a newer one of
//     the same user;
//   - latency: from the moment Graph could show a state to its arrival at the
//     consumer; what happened, or was on its way, within 5 s after a kill counts
//     apart.
package smoke
