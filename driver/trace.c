// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints, and functions for glue/trace.rs to reach them by. Switched
 * off, each costs a call and a jump over a no-op.
 */
#include <linux/types.h>

#define CREATE_TRACE_POINTS
#include "trace.h"
#include "glue/helpers.h"

void evq_trace_post(u64 instance, u64 first, unsigned int count)
{
	trace_evq_post(instance, first, count);
}

void evq_trace_notify(u64 instance, bool woken, bool signalled)
{
	trace_evq_notify(instance, woken, signalled);
}

void evq_trace_read(u64 instance, u64 next, u64 delivered, u64 lost)
{
	trace_evq_read(instance, next, delivered, lost);
}
