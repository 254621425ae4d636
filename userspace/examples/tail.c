// SPDX-License-Identifier: MIT OR Apache-2.0
/* Prints the events of a queue as they come: tail [PATH] */
#include <stdio.h>

#include <evq/client.h>

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/dev/evq";
	struct evq_event events[64];
	int fd = evq_open(path, O_RDONLY);
	ssize_t count;

	if (fd < 0) {
		perror(path);
		return 1;
	}
	while ((count = evq_read(fd, events, 64)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			const struct evq_event *event = &events[i];

			if (event->lost)
				printf("lost %u just before %llu\n", event->lost,
				       (unsigned long long)event->seq);
			printf("%llu %u %u ", (unsigned long long)event->seq, event->type,
			       event->code);
			for (int at = 0; at < event->len; at++)
				printf("%02x", event->data[at]);
			printf("\n");
		}
		fflush(stdout);
	}
	if (count < 0 && errno != ENODEV) {
		perror(path);
		return 1;
	}
	return 0;
}
