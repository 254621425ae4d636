/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * evq: reading and posting events from a C program. All of it is in this header;
 * it goes beside evq.h of the interface, as <evq/client.h>.
 *
 *	int fd = evq_open(NULL, O_RDONLY);
 *	struct evq_event events[64];
 *	ssize_t count;
 *
 *	while ((count = evq_read(fd, events, 64)) > 0)
 *		for (ssize_t i = 0; i < count; i++)
 *			printf("%llu\n", (unsigned long long)events[i].seq);
 *
 * Functions return -1 and set errno when they fail, as the system calls do.
 */
#ifndef _EVQ_CLIENT_H
#define _EVQ_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>

#include <evq/evq.h>

/* Opens a queue, /dev/evq if @path is NULL; @flags as of open(2). */
static inline int evq_open(const char *path, int flags)
{
	return open(path ? path : "/dev/evq", flags | O_CLOEXEC);
}

/*
 * Reads up to @most events; gives how many there were, 0 at the end of a file
 * that has one. -1 with EAGAIN: there is none now (O_NONBLOCK); with ENODEV: the
 * queue was retired, and all has been read. A signal does not end it.
 */
static inline ssize_t evq_read(int fd, struct evq_event *events, size_t most)
{
	ssize_t size;

	do {
		size = read(fd, events, most * sizeof(*events));
	} while (size < 0 && errno == EINTR);
	return size < 0 ? size : size / (ssize_t)sizeof(*events);
}

/* Posts one event; 0 if it was posted, EINVAL if @len is above EVQ_DATA_MAX. */
static inline int evq_send(int fd, __u16 type, __u16 code, const void *data, size_t len)
{
	struct evq_event event;
	ssize_t size;

	if (len > EVQ_DATA_MAX) {
		errno = EINVAL;
		return -1;
	}
	memset(&event, 0, sizeof(event));
	event.type = type;
	event.code = code;
	event.len = (__u16)len;
	if (len)
		memcpy(event.data, data, len);
	do {
		size = write(fd, &event, sizeof(event));
	} while (size < 0 && errno == EINTR);
	return size < 0 ? -1 : 0;
}

/* Goes to the oldest event that is kept; the next number is in @next if not NULL. */
static inline int evq_seek_oldest(int fd, __u64 *next)
{
	struct evq_seek seek;

	memset(&seek, 0, sizeof(seek));
	seek.whence = EVQ_SEEK_OLDEST;
	if (ioctl(fd, EVQ_IOC_SEEK, &seek) < 0)
		return -1;
	if (next)
		*next = seek.seq;
	return 0;
}

/* The counters of the queue and of this subscriber. */
static inline int evq_get_info(int fd, struct evq_info *info)
{
	return ioctl(fd, EVQ_IOC_INFO, info);
}

#endif /* _EVQ_CLIENT_H */
