// Package smoke runs the local cloud end to end, with faults, and judges it.
//
// People move in simulated Teams and telephone in simulated ProCall, the real handler runs under the simulated
// Functions host with one process per function group, a polling and a pushed
// consumer follow the feed, and processes are killed without warning. When the
// movement has stopped and both consumers are equal to Teams (or time is up),
// [Judge] compares what each consumer saw with the ground truth:
//
//   - lost: an appended change that never reached a consumer, a wrong final state,
//     or a state held for the interval of syncs and 2 s more (3 s by default) in
//     undisturbed service and never delivered;
//     shorter or disturbed ones are skipped;
//   - reordered: a change that arrives for the first time after a newer one of
//     the same user;
//   - calls_wrong: people whose phone says something else than Teams shows in the
//     end: our session is there if, and only if, the person has a call in ProCall.
//     While a Teams client itself shows a call, both look the same and either will
//     do. Everything must stay right for a while ([Options.Hold]);
//   - echoes: our own session held by a consumer as something that Teams
//     contributes, or a call of Teams taken for ours long after the last write;
//   - latency of calls: from the beginning of the report to the arrival of the write
//     at Graph ([JudgeCalls]);
//   - latency: from the moment Graph could show a state to its arrival at the
//     consumer; what happened, or was on its way, within 5 s after a kill counts
//     apart.
package smoke
