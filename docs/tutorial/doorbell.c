// SPDX-License-Identifier: GPL-2.0
#include <linux/kstrtox.h>
#include <linux/module.h>

#include <evq.h>

/* echo 3 >/sys/module/doorbell/parameters/ring */
static int ring(const char *text, const struct kernel_param *kp)
{
	u16 door;
	int error = kstrtou16(text, 0, &door);

	if (error)
		return error;
	return evq_post(evq_default(), EVQ_SOURCE(EVQ_CLASS_FREE, 0), 1, door, "ding dong", 9);
}

static const struct kernel_param_ops ring_ops = { .set = ring };
module_param_cb(ring, &ring_ops, NULL, 0200);

MODULE_IMPORT_NS("EVQ");
MODULE_DESCRIPTION("Posts an event when somebody rings");
MODULE_LICENSE("GPL");
