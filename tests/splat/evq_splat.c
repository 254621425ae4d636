// SPDX-License-Identifier: GPL-2.0
/*
 * evq_splat: does one thing that the kernel's checkers must notice, so that it
 * can be seen that a test run then fails. Built for kernels with KASAN only.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *kind = "";
module_param(kind, charp, 0);
MODULE_PARM_DESC(kind, "leak, use-after-free, lock-order, lock-nesting, sleep or bounds");

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_RAW_SPINLOCK(outer);
static DEFINE_SPINLOCK(inner);

static noinline void leak(void)
{
	int i;

	/* Several, for a stale register may still point to the last one. */
	for (i = 0; i < 10; i++)
		WRITE_ONCE(*(u8 *)kmalloc(64, GFP_KERNEL | __GFP_NOFAIL), 1);
}

static void use_after_free(void)
{
	u8 *byte = kmalloc(64, GFP_KERNEL | __GFP_NOFAIL);

	kfree(byte);
	READ_ONCE(*byte);
}

static void lock_order(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

/* Harmless here, a sleep with interrupts off on PREEMPT_RT. */
static void lock_nesting(void)
{
	raw_spin_lock(&outer);
	spin_lock(&inner);
	spin_unlock(&inner);
	raw_spin_unlock(&outer);
}

static void sleep_in_atomic(void)
{
	preempt_disable();
	kfree(kmalloc(64, GFP_KERNEL));
	preempt_enable();
}

/* Beyond the array, but not beyond what is there. */
static void out_of_bounds(void)
{
	static struct {
		int array[4];
		int spare[4];
	} numbers;
	int at = 5;

	OPTIMIZER_HIDE_VAR(at);
	WRITE_ONCE(numbers.array[at], 1);
}

static const struct {
	const char *name;
	void (*run)(void);
} kinds[] = {
	{ "leak", leak },
	{ "use-after-free", use_after_free },
	{ "lock-order", lock_order },
	{ "lock-nesting", lock_nesting },
	{ "sleep", sleep_in_atomic },
	{ "bounds", out_of_bounds },
};

static int __init evq_splat_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(kind, kinds[i].name)) {
			kinds[i].run();
			return 0;
		}
	}
	pr_err("kind=%s: must be one of those that modinfo shows\n", kind);
	return -EINVAL;
}
module_init(evq_splat_init);

static void __exit evq_splat_exit(void)
{
}
module_exit(evq_splat_exit);

MODULE_AUTHOR("The evq authors");
MODULE_DESCRIPTION("Does what the kernel's checkers must notice");
MODULE_LICENSE("GPL");
