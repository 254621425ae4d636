/* SPDX-License-Identifier: GPL-2.0 */
/*
 * evq: posting events from kernel code.
 *
 *	#include <evq.h>
 *
 *	static irqreturn_t my_irq(int irq, void *dev)
 *	{
 *		u32 status = readl(...);
 *
 *		evq_post(evq_default(), EVQ_SOURCE(EVQ_CLASS_FREE, 0), MY_TYPE, MY_CODE,
 *			 &status, sizeof(status));
 *		return IRQ_HANDLED;
 *	}
 *	MODULE_IMPORT_NS("EVQ");
 *
 * A module that uses these symbols keeps evq loaded.
 */
#ifndef _EVQ_H
#define _EVQ_H

#include <linux/types.h>
#include <uapi/evq.h>

struct evq_queue;

/* Most events that evq_post_batch() takes. */
#define EVQ_BATCH_MAX	64U

/**
 * evq_default - the queue behind /dev/evq
 *
 * Context: any.
 * Return: the queue, which lives as long as evq is loaded.
 */
struct evq_queue *evq_default(void);

/**
 * evq_post - post one event
 * @queue:	where to
 * @source:	who posts, see EVQ_SOURCE(); EVQ_SOURCE_KERNEL is set in any case
 * @type:	the caller's own
 * @code:	the caller's own
 * @data:	payload, or NULL
 * @len:	bytes of payload, at most EVQ_DATA_MAX
 *
 * If the queue is full the oldest event is overwritten, and each subscriber
 * that had not read it is told so. Allocates nothing. Subscribers are woken
 * and signalled at once if the caller certainly holds no spin lock (it could be
 * preempted, and the kernel is not PREEMPT_RT), else shortly after from an
 * irq_work; several events may then share one notification.
 *
 * Context: any but NMI; does not sleep. The caller may hold any lock.
 * Return: 0; -EINVAL if @len is too large or @data is NULL and @len is not 0,
 * -EBUSY in NMI, -ENODEV if @queue is NULL or has been retired. What was
 * refused is counted in struct evq_info.
 */
int evq_post(struct evq_queue *queue, u32 source, u16 type, u16 code,
	     const void *data, size_t len);

/**
 * evq_post_batch - post several events with consecutive sequence numbers
 * @queue:	where to
 * @source:	who posts, for all of them
 * @events:	type, code, len and data are taken; reserved must be 0; the
 *		rest is stamped
 * @count:	how many, at most EVQ_BATCH_MAX
 *
 * As evq_post(), with one notification for all. Either all are posted or none.
 *
 * Context: any but NMI; does not sleep. Interrupts are off while the events
 * are copied.
 * Return: as evq_post(); -EINVAL also if one of the events is not valid.
 */
int evq_post_batch(struct evq_queue *queue, u32 source,
		   const struct evq_event *events, size_t count);

/**
 * evq_queue_create - make a queue of one's own, /dev/evq-NAME
 * @name:	1 to 32 ASCII letters, digits, '_' and '-'
 * @capacity:	events that it keeps, of 64 bytes each: a power of two from 64
 *		to 1048576
 *
 * Context: process; may sleep.
 * Return: the queue, or ERR_PTR: -EINVAL for a bad name or capacity, -EEXIST
 * (and a warning in the kernel log, as for any device) if there is such a
 * queue, -EBUSY if no minor number is left, -ENOMEM.
 */
struct evq_queue *evq_queue_create(const char *name, unsigned int capacity);

/**
 * evq_queue_retire - end a queue that evq_queue_create() has made
 * @queue:	the queue; NULL and ERR_PTR are ignored
 *
 * The device node goes away. Programs that have it open can read what is left,
 * then get ENODEV; pollers get EPOLLHUP | EPOLLERR, and the asynchronous list
 * SIGIO with POLL_HUP. The caller must have made sure that nobody posts any
 * more, and must not use @queue again.
 *
 * Context: process; may sleep.
 */
void evq_queue_retire(struct evq_queue *queue);

#endif /* _EVQ_H */
