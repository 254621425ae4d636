/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * evq: the event queue device, /dev/evq.
 *
 * A read returns whole records of 64 bytes, a write takes them. Every open
 * file description is a subscriber with a cursor of its own: it sees each
 * event that is posted after its open, in the order of the sequence numbers,
 * or is told in the next record how many it has missed.
 */
#ifndef _UAPI_EVQ_H
#define _UAPI_EVQ_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Bytes of payload in one event. */
#define EVQ_DATA_MAX		32

/**
 * struct evq_event - one event, 64 bytes, native endian, no implicit padding
 * @seq:	1, 2, 3 ... per queue, never reused and never skipped
 * @time_ns:	CLOCK_MONOTONIC at the time of posting, in nanoseconds
 * @source:	who posted, see EVQ_SOURCE_KERNEL
 * @type:	the producer's own
 * @code:	the producer's own
 * @lost:	how many events this subscriber has missed just before this one
 *		(stops at 0xffffffff; struct evq_info has the exact total)
 * @len:	bytes used in @data, 0 to EVQ_DATA_MAX
 * @reserved:	0; a write with anything else fails with EINVAL
 * @data:	payload; the bytes behind @len are 0
 *
 * In a write the kernel stamps @seq, @time_ns, @source and @lost; whatever the
 * program put there is ignored.
 */
struct evq_event {
	__u64 seq;
	__u64 time_ns;
	__u32 source;
	__u16 type;
	__u16 code;
	__u32 lost;
	__u16 len;
	__u16 reserved;
	__u8  data[EVQ_DATA_MAX];
};

/*
 * Set in evq_event.source if kernel code has posted the event. Without it the
 * source is the process id (in the initial pid namespace) of the program that
 * wrote the event. With it, bits 16 to 30 are the class of the producer and
 * bits 0 to 15 say which one of its class.
 */
#define EVQ_SOURCE_KERNEL	0x80000000U
#define EVQ_SOURCE(class, id)	\
	(EVQ_SOURCE_KERNEL | (((class) & 0x7fffU) << 16) | ((id) & 0xffffU))

/* Classes that this project uses; from EVQ_CLASS_FREE on they are anybody's. */
#define EVQ_CLASS_NONE		0U
#define EVQ_CLASS_INPUT		1U	/* evq_input: type, code and __s32 value of an input event */
#define EVQ_CLASS_TIMER		2U	/* evq_timer: data is the __u64 number of the tick, from 1 */
#define EVQ_CLASS_FREE		0x100U

/**
 * struct evq_info - the state of a queue and of one subscriber (EVQ_IOC_INFO)
 * @abi:	version of this interface, EVQ_ABI
 * @capacity:	events that the ring holds, a power of two
 * @posted:	events posted so far; also the sequence number of the newest
 * @oldest:	sequence number of the oldest event still kept; posted + 1 if none
 * @next:	sequence number that the next read of this subscriber starts from
 * @delivered:	events copied to this subscriber since its open or last seek
 * @lost:	events that this subscriber missed since its open or last seek,
 *		as far as its reads have told it (exact, does not saturate)
 * @overwritten: events that are no longer in the ring
 * @refused:	events from kernel code that the queue refused (from NMI, not
 *		valid, or after the queue was retired), and events of programs
 *		after the queue was retired; the producer got an error for each
 * @subscribers: open file descriptions of this queue
 * @flags:	EVQ_INFO_*
 * @instance:	random and not 0, another one for each queue that is made: a
 *		sequence number that was kept from before is only good if this
 *		is the same
 * @wakeups:	times that those who slept or polled were woken, all at once; none
 *		if nobody did
 * @signals:	times that those who had asked for signals were signalled, all
 *		at once
 * @skipped:	events since the open or last seek that were there, but that the
 *		filter of this subscriber did not let through
 * @reserved:	0
 *
 * The same is in /proc/PID/fdinfo. The fields are read one after the other, not in one instant. A file that is
 * not open for reading learns @abi, @capacity and @flags; the rest is 0.
 */
struct evq_info {
	__u32 abi;
	__u32 capacity;
	__u64 posted;
	__u64 oldest;
	__u64 next;
	__u64 delivered;
	__u64 lost;
	__u64 overwritten;
	__u64 refused;
	__u32 subscribers;
	__u32 flags;
	__u64 instance;
	__u64 wakeups;
	__u64 signals;
	__u64 skipped;
	__u64 reserved[3];
};

#define EVQ_ABI			1U

/* The queue was retired: what it holds can still be read, then ENODEV. */
#define EVQ_INFO_RETIRED	0x1U

/* Where EVQ_IOC_SEEK moves the cursor of the subscriber to. */
#define EVQ_SEEK_NEWEST		0U	/* behind the newest: only what is posted from now on */
#define EVQ_SEEK_OLDEST		1U	/* the oldest event still kept */
#define EVQ_SEEK_SEQ		2U	/* the event with this sequence number */

/**
 * struct evq_seek - move the cursor and start a new account (EVQ_IOC_SEEK)
 * @whence:	EVQ_SEEK_*
 * @reserved:	0, else EINVAL
 * @seq:	in: the target of EVQ_SEEK_SEQ, from 1 to posted + 1, else 0;
 *		out: the sequence number that the next read starts from
 *
 * EVQ_SEEK_SEQ with a number that the ring no longer holds is no error: the
 * next record is the oldest one kept, and its lost field says how many are
 * missing in between. If there is something to read after the seek and was not
 * before, whoever waits for it is told. Needs the file open for reading, else
 * EBADF.
 */
struct evq_seek {
	__u32 whence;
	__u32 reserved;
	__u64 seq;
};

/* Rules of one filter, at most. */
#define EVQ_FILTER_MAX		8

/**
 * struct evq_match - a kind of event
 * @source:	evq_event.source & @source_mask must be this
 * @source_mask: 0: any source
 * @type_first:	evq_event.type must not be below this
 * @type_last:	nor above this
 * @reserved:	0
 */
struct evq_match {
	__u32 source;
	__u32 source_mask;
	__u16 type_first;
	__u16 type_last;
	__u32 reserved;
};

/**
 * struct evq_filter - the events that a subscriber wants (EVQ_IOC_FILTER)
 * @count:	how many of the rules count; 0: all events are wanted
 * @reserved:	0
 * @match:	an event that one of them matches is wanted
 *
 * From the next event on, the others are not delivered, wake nobody and signal
 * nobody. They are no loss; a loss counts whatever would have been wanted of
 * it, for nobody has looked. EINVAL for a rule that nothing can match, more
 * rules than there are, or @reserved; EBADF if the file is not open for
 * reading; EBUSY if it has been polled, armed or slept on before the first
 * EVQ_IOC_FILTER or EVQ_IOC_WAKEUP. A mapped ring is not filtered.
 */
struct evq_filter {
	__u32 count;
	__u32 reserved;
	struct evq_match match[EVQ_FILTER_MAX];
};

/**
 * struct evq_wakeup - when a subscriber is woken and signalled (EVQ_IOC_WAKEUP)
 * @events:	when this many wanted events are there, 1 to the capacity
 * @reserved:	0
 * @max_delay_ns: or when the first of them is this old, in nanoseconds, 1 to
 *		EVQ_DELAY_MAX_NS, and then up to two ticks of the kernel's clock
 *		later; 0 if @events is 1
 *
 * Only those who sleep or have asked for signals are told later: a read or a
 * poll that finds events does not wait for more. Errors as EVQ_IOC_FILTER.
 */
struct evq_wakeup {
	__u32 events;
	__u32 reserved;
	__u64 max_delay_ns;
};

#define EVQ_DELAY_MAX_NS	60000000000ULL

#define EVQ_IOC_MAGIC		0xE7
#define EVQ_IOC_INFO		_IOR(EVQ_IOC_MAGIC, 0x00, struct evq_info)
#define EVQ_IOC_SEEK		_IOWR(EVQ_IOC_MAGIC, 0x01, struct evq_seek)
#define EVQ_IOC_FILTER		_IOW(EVQ_IOC_MAGIC, 0x02, struct evq_filter)
#define EVQ_IOC_WAKEUP		_IOW(EVQ_IOC_MAGIC, 0x03, struct evq_wakeup)

/**
 * struct evq_map - the beginning of a mapped ring
 * @abi:	EVQ_ABI
 * @capacity:	slots of the ring, a power of two
 * @offset:	where the slots begin, in bytes from the beginning of the mapping
 * @reserved:	0
 * @instance:	as in struct evq_info
 * @padding:	0
 * @newest:	sequence number of the newest event, 0 if there was none
 *
 * mmap() of a queue that is open for reading, from offset 0, with PROT_READ
 * only (PROT_WRITE, now or later: EPERM or EACCES), of up to @offset +
 * 64 * @capacity bytes (more: EINVAL). The mapping keeps the file open.
 *
 * Each slot is a struct evq_event whose lost field is 0. Event n is in slot
 * n & (@capacity - 1) until event n + @capacity takes its place. To read it:
 *
 *  1. load @newest with acquire; event n is there only if n <= @newest
 *  2. copy the slot, with loads that may race (relaxed atomics)
 *  3. acquire fence, and load slot.seq; if it is not n, event n is lost and the
 *     copy is worth nothing: it has been overwritten, or is being so (seq is 0
 *     meanwhile)
 *
 * Steps 2 and 3 may each be done for several events at once.
 *
 * The oldest event that may be there is @newest - @capacity + 1. What lies
 * between the last event copied and the next one is what was lost, exactly.
 * Reading this way moves no cursor. Before it waits, the program says where it
 * is with EVQ_IOC_SEEK and EVQ_SEEK_SEQ; then read, poll and the signals mean
 * what they mean everywhere else.
 */
struct evq_map {
	__u32 abi;
	__u32 capacity;
	__u32 offset;
	__u32 reserved;
	__u64 instance;
	__u64 padding[5];
	__u64 newest;
};

#endif /* _UAPI_EVQ_H */
