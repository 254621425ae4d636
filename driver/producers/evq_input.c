// SPDX-License-Identifier: GPL-2.0
/*
 * evq_input: forwards input events (keyboard, pointer, touch) to /dev/evq, or
 * to a queue of its own.
 *
 * Every event that the kernel's own evdev driver would deliver to a client
 * with default settings is posted with the same type, code and value, in the
 * same order. What the input core hands over in one go is posted in one go, in
 * parts of EVQ_BATCH_MAX.
 *
 * Whoever may read the queue reads every key that is pressed, whichever session
 * it is meant for.
 *
 * In C, for the input core has no Rust bindings.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/input.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sprintf.h>

#include <evq.h>

static unsigned int own;
module_param(own, uint, 0444);
MODULE_PARM_DESC(own,
		 "Make /dev/evq-input with this capacity and post there; 0: post to /dev/evq");

static struct evq_queue *evq_input_queue;

/**
 * struct evq_input - one input device
 * @handle:	our connection to it
 * @source:	who posts: EVQ_CLASS_INPUT and the number of the input device
 * @batch:	what is being posted; protected by the event lock of the input
 *		device, which the input core holds around evq_input_events()
 */
struct evq_input {
	struct input_handle handle;
	u32 source;
	struct evq_event batch[EVQ_BATCH_MAX];
};

/* Interrupts are off, and the event lock of the device is held. */
static unsigned int evq_input_events(struct input_handle *handle,
				     struct input_value *vals, unsigned int count)
{
	struct evq_input *input = container_of(handle, struct evq_input, handle);
	unsigned int done = 0;

	while (done < count) {
		unsigned int n = min(count - done, EVQ_BATCH_MAX);
		unsigned int i;

		for (i = 0; i < n; i++) {
			const struct input_value *val = &vals[done + i];
			struct evq_event *event = &input->batch[i];
			s32 value = val->value;

			event->type = val->type;
			event->code = val->code;
			event->len = sizeof(value);
			memcpy(event->data, &value, sizeof(value));
		}
		/* What is refused is counted by the queue; there is nobody else to tell. */
		evq_post_batch(evq_input_queue, input->source, input->batch, n);
		done += n;
	}
	return count;
}

static int evq_input_connect(struct input_handler *handler, struct input_dev *dev,
			     const struct input_device_id *id)
{
	struct evq_input *input;
	unsigned int number;
	int error;

	/* The name in sysfs, /sys/class/input/inputN, is the one that people can look up. */
	if (sscanf(dev_name(&dev->dev), "input%u", &number) != 1)
		number = 0xffff;

	input = kzalloc(sizeof(*input), GFP_KERNEL);
	if (!input)
		return -ENOMEM;

	input->source = EVQ_SOURCE(EVQ_CLASS_INPUT, number);
	input->handle.dev = dev;
	input->handle.handler = handler;
	input->handle.name = "evq";

	error = input_register_handle(&input->handle);
	if (error)
		goto err_free;

	error = input_open_device(&input->handle);
	if (error)
		goto err_unregister;

	return 0;

err_unregister:
	input_unregister_handle(&input->handle);
err_free:
	kfree(input);
	return error;
}

static void evq_input_disconnect(struct input_handle *handle)
{
	input_close_device(handle);
	input_unregister_handle(handle);
	kfree(container_of(handle, struct evq_input, handle));
}

/* Whatever has events at all, as evdev does. */
static const struct input_device_id evq_input_ids[] = {
	{
		.flags = INPUT_DEVICE_ID_MATCH_EVBIT,
		.evbit = { BIT_MASK(EV_SYN) },
	},
	{ }
};

static struct input_handler evq_input_handler = {
	.events		= evq_input_events,
	.connect	= evq_input_connect,
	.disconnect	= evq_input_disconnect,
	.name		= "evq",
	.id_table	= evq_input_ids,
};

static int __init evq_input_init(void)
{
	int error;

	evq_input_queue = own ? evq_queue_create("input", own) : evq_default();
	if (IS_ERR(evq_input_queue)) {
		error = PTR_ERR(evq_input_queue);
		pr_err("own=%u: cannot make /dev/evq-input: %pe; the capacity must be a power of two from 64 to 1048576\n",
		       own, evq_input_queue);
		return error;
	}

	error = input_register_handler(&evq_input_handler);
	if (error && own)
		evq_queue_retire(evq_input_queue);
	return error;
}
module_init(evq_input_init);

static void __exit evq_input_exit(void)
{
	input_unregister_handler(&evq_input_handler);
	if (own)
		evq_queue_retire(evq_input_queue);
}
module_exit(evq_input_exit);

MODULE_IMPORT_NS("EVQ");
MODULE_AUTHOR("The evq authors");
MODULE_DESCRIPTION("Forwards input events to /dev/evq");
MODULE_LICENSE("GPL");
