/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of the queue, for perf, bpftrace and tracefs: what was posted,
 * who was told, what was read. An instance is one queue, as in struct evq_info.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM evq

#if !defined(_EVQ_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _EVQ_TRACE_H

#include <linux/tracepoint.h>

/* @first and the @count - 1 numbers after it have been stored. */
TRACE_EVENT(evq_post,
	TP_PROTO(u64 instance, u64 first, unsigned int count),
	TP_ARGS(instance, first, count),
	TP_STRUCT__entry(
		__field(u64, instance)
		__field(u64, first)
		__field(unsigned int, count)
	),
	TP_fast_assign(
		__entry->instance = instance;
		__entry->first = first;
		__entry->count = count;
	),
	TP_printk("instance=%016llx first=%llu count=%u",
		  __entry->instance, __entry->first, __entry->count)
);

/* Those who wait have been told: sleepers and pollers, those armed for signals. */
TRACE_EVENT(evq_notify,
	TP_PROTO(u64 instance, bool woken, bool signalled),
	TP_ARGS(instance, woken, signalled),
	TP_STRUCT__entry(
		__field(u64, instance)
		__field(bool, woken)
		__field(bool, signalled)
	),
	TP_fast_assign(
		__entry->instance = instance;
		__entry->woken = woken;
		__entry->signalled = signalled;
	),
	TP_printk("instance=%016llx woken=%d signalled=%d",
		  __entry->instance, __entry->woken, __entry->signalled)
);

/* A read has copied @delivered events; the next one starts from @next. */
TRACE_EVENT(evq_read,
	TP_PROTO(u64 instance, u64 next, u64 delivered, u64 lost),
	TP_ARGS(instance, next, delivered, lost),
	TP_STRUCT__entry(
		__field(u64, instance)
		__field(u64, next)
		__field(u64, delivered)
		__field(u64, lost)
	),
	TP_fast_assign(
		__entry->instance = instance;
		__entry->next = next;
		__entry->delivered = delivered;
		__entry->lost = lost;
	),
	TP_printk("instance=%016llx next=%llu delivered=%llu lost=%llu",
		  __entry->instance, __entry->next, __entry->delivered, __entry->lost)
);

#endif /* _EVQ_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
