// SPDX-License-Identifier: GPL-2.0
/*
 * evq_nmi: posts to /dev/evq from each non-maskable interrupt, where that has to
 * be refused, and counts the results. For the tests only, and for x86 only: no
 * other architecture has a call that registers a handler.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/module.h>

#include <asm/nmi.h>

#include <evq.h>

/* Written by the handler only, and only one processor gets these interrupts. */
static unsigned int refused;
module_param(refused, uint, 0444);
MODULE_PARM_DESC(refused, "Calls that returned -EBUSY");

static unsigned int other;
module_param(other, uint, 0444);
MODULE_PARM_DESC(other, "Calls that returned anything else");

static void evq_nmi_count(int result)
{
	if (result == -EBUSY)
		WRITE_ONCE(refused, refused + 1);
	else
		WRITE_ONCE(other, other + 1);
}

static int evq_nmi_handler(unsigned int type, struct pt_regs *regs)
{
	static const struct evq_event events[2] = { { .type = 1 }, { .type = 2 } };
	const u32 source = EVQ_SOURCE(EVQ_CLASS_FREE, 0);

	evq_nmi_count(evq_post(evq_default(), source, 1, 1, NULL, 0));
	evq_nmi_count(evq_post_batch(evq_default(), source, events, 2));
	return NMI_HANDLED;
}

static int __init evq_nmi_init(void)
{
	return register_nmi_handler(NMI_LOCAL, evq_nmi_handler, 0, KBUILD_MODNAME);
}
module_init(evq_nmi_init);

static void __exit evq_nmi_exit(void)
{
	unregister_nmi_handler(NMI_LOCAL, KBUILD_MODNAME);
}
module_exit(evq_nmi_exit);

MODULE_AUTHOR("The evq authors");
MODULE_DESCRIPTION("Posts events where it must not");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("EVQ");
