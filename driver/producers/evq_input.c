// SPDX-License-Identifier: GPL-2.0
/*
 * evq_input: forwards input events (keyboard, pointer, touch) to /dev/evq.
 *
 * Every event that the kernel's own evdev driver would deliver to a client
 * with default settings is posted with the same type, code and value, in the
 * same order; a packet is one batch, SYN_REPORT included.
 *
 * In C, for the input core has no Rust bindings.
 */
#include <linux/input.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sprintf.h>

#include <evq.h>

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
		evq_post_batch(evq_default(), input->source, input->batch, n);
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
	return input_register_handler(&evq_input_handler);
}
module_init(evq_input_init);

static void __exit evq_input_exit(void)
{
	input_unregister_handler(&evq_input_handler);
}
module_exit(evq_input_exit);

MODULE_IMPORT_NS("EVQ");
MODULE_AUTHOR("The evq authors");
MODULE_DESCRIPTION("Forwards input events to /dev/evq");
MODULE_LICENSE("GPL");
