// SPDX-License-Identifier: MIT OR Apache-2.0
//! Golden kernel logs: the detector is worth something only if it finds each
//! kind of complaint, and stays quiet where there is none.

use evq_vm::klog::scan;

/// A log with exactly one complaint of each, as the kernel words them, and the
/// message that has to be found first.
const BAD: &[(&str, &str)] = &[
    (
        "[    5.301] BUG: kernel NULL pointer dereference, address: 0000000000000010\n\
         [    5.302] #PF: supervisor read access in kernel mode\n\
         [    5.303] Oops: Oops: 0000 [#1] SMP NOPTI\n",
        "BUG: kernel NULL pointer dereference, address: 0000000000000010",
    ),
    (
        "[    5.301] Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1]\n",
        "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
    ),
    (
        "[    5.1] ------------[ cut here ]------------\n\
         [    5.1] WARNING: kernel/irq/manage.c:820 at disable_irq+0x12/0x40, CPU#0: insmod/99\n\
         [    5.1] Modules linked in: evq(OE+)\n",
        "------------[ cut here ]------------",
    ),
    (
        "[    5.1] WARNING: CPU: 0 PID: 99 at kernel/irq/manage.c:820 disable_irq+0x12/0x40\n",
        "WARNING: CPU: 0 PID: 99 at kernel/irq/manage.c:820 disable_irq+0x12/0x40",
    ),
    (
        "[    5.1] kernel BUG at fs/fcntl.c:801!\n",
        "kernel BUG at fs/fcntl.c:801!",
    ),
    (
        "[    5.1][   T99] ============================================\n\
         [    5.1][   T99] WARNING: possible recursive locking detected\n\
         [    5.1][   T99] 7.2.12 #1 Tainted: G           O\n",
        "WARNING: possible recursive locking detected",
    ),
    (
        "[    5.1] WARNING: possible circular locking dependency detected\n",
        "WARNING: possible circular locking dependency detected",
    ),
    (
        "[    5.1] WARNING: inconsistent lock state\n",
        "WARNING: inconsistent lock state",
    ),
    (
        "[    5.1] =============================\n\
         [    5.1] [ BUG: Invalid wait context ]\n\
         [    5.1] evq_timer/99 is trying to lock:\n",
        "[ BUG: Invalid wait context ]",
    ),
    (
        "[    5.1] WARNING: bad unlock balance detected!\n",
        "WARNING: bad unlock balance detected!",
    ),
    (
        "[    5.1] WARNING: suspicious RCU usage\n",
        "WARNING: suspicious RCU usage",
    ),
    (
        "[    5.1] INFO: trying to register non-static key.\n",
        "INFO: trying to register non-static key.",
    ),
    (
        "[    5.1] BUG: sleeping function called from invalid context at mm/slab.h:306\n",
        "BUG: sleeping function called from invalid context at mm/slab.h:306",
    ),
    (
        "[    5.1] BUG: scheduling while atomic: cat/99/0x00000002\n",
        "BUG: scheduling while atomic: cat/99/0x00000002",
    ),
    (
        "[    5.1] BUG: KASAN: slab-use-after-free in evq_read+0x1/0x2 [evq]\n\
         [    5.1] Read of size 8 at addr ffff888003a1c010 by task cat/99\n",
        "BUG: KASAN: slab-use-after-free in evq_read+0x1/0x2 [evq]",
    ),
    (
        "[    5.1] UBSAN: array-index-out-of-bounds in drivers/x.c:12:3\n",
        "UBSAN: array-index-out-of-bounds in drivers/x.c:12:3",
    ),
    (
        "[    5.1] BUG: KCSAN: data-race in a / b\n",
        "BUG: KCSAN: data-race in a / b",
    ),
    (
        "[    5.1] BUG: KFENCE: use-after-free read in x\n",
        "BUG: KFENCE: use-after-free read in x",
    ),
    (
        "[  242.1] INFO: task cat:99 blocked for more than 120 seconds.\n",
        "INFO: task cat:99 blocked for more than 120 seconds.",
    ),
    (
        "[   28.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [cat:99]\n",
        "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [cat:99]",
    ),
    (
        "[   28.1] watchdog: Watchdog detected hard LOCKUP on cpu 0\n",
        "watchdog: Watchdog detected hard LOCKUP on cpu 0",
    ),
    (
        "[   21.1] rcu: INFO: rcu_preempt self-detected stall on CPU\n",
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
    ),
    (
        "[   21.1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n",
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    ),
    (
        "[    5.1] rust_kernel: panicked at driver/queue.rs:10:5:\n\
         [    5.1] index out of bounds: the len is 3 but the index is 4\n",
        "rust_kernel: panicked at driver/queue.rs:10:5:",
    ),
    (
        "[    9.1] kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)\n",
        "kmemleak: 2 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    ),
    (
        "unreferenced object 0xffff888003a1c000 (size 64):\n\
         \x20 comm \"insmod\", pid 99, jiffies 4294670000\n",
        "unreferenced object 0xffff888003a1c000 (size 64):",
    ),
    (
        "[    5.1] BUG kmalloc-64 (Tainted: G           O): Right Redzone overwritten\n",
        "BUG kmalloc-64 (Tainted: G           O): Right Redzone overwritten",
    ),
    (
        "[    5.1] list_add corruption. next->prev should be prev (x), but was y.\n",
        "list_add corruption. next->prev should be prev (x), but was y.",
    ),
    (
        "[    5.1] refcount_t: underflow; use-after-free.\n",
        "refcount_t: underflow; use-after-free.",
    ),
    (
        "[    5.1] ODEBUG: free active (active state 0) object: x hint: y\n",
        "ODEBUG: free active (active state 0) object: x hint: y",
    ),
    (
        "[    5.1] irq 1: nobody cared (try booting with the \"irqpoll\" option)\n",
        "irq 1: nobody cared (try booting with the \"irqpoll\" option)",
    ),
    ("[    5.1] Call Trace:\n[    5.1]  <TASK>\n", "Call Trace:"),
    (
        "[    5.1] Kernel panic - not syncing: sysrq triggered crash\n",
        "Kernel panic - not syncing: sysrq triggered crash",
    ),
];

/// Messages of healthy kernels that look like trouble.
const BENIGN: &[&str] = &[
    "[    3.1] evq: loading out-of-tree module taints kernel.",
    "[    3.1] evq: module verification failed: signature and/or required key missing - tainting kernel",
    "[    0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
    "[    0.1] Warning: unable to open an initial console.",
    "[    9.1] traps: child[99] general protection fault ip:401000 sp:7ffc0000 error:0 in child[401000+1000]",
    "[    9.1] child[99]: segfault at 0 ip 0000000000401000 sp 00007ffc00000000 error 4 in child",
    "[    9.1] Uhhuh. NMI received for unknown reason 30 on CPU 0.",
    "[    0.1] rcu: INFO: fake news",
    "[    0.1] DEBUG: this is not a bug",
    "[    0.1] RCU Tasks Rude: Setting shift to 1 and lim to 1 rcu_task_cb_adjust=1.",
    "[    1.1] clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable",
    "[    1.1] hrtimer: interrupt took 3212345 ns",
    "[    1.1] pnp: PnP ACPI: disabled",
    "[    1.1] MMIO Stale Data: Unknown: No mitigations",
    "[    1.1] sysrq: HELP : loglevel(0-9) reboot(b) crash(c)",
    "[    1.1] printk: legacy console [ttyS0] enabled",
    "[    1.1] random: crng init done",
    "[    1.1] a device called BUG and one called Oops",
    "evq-vm: WARNING: in a program's own words",
    "",
];

#[test]
fn every_complaint_is_found() {
    for (log, first) in BAD {
        let found = scan(log);
        let text = found.first().map(|finding| finding.text.as_str());
        assert_eq!(text, Some(*first), "in this log:\n{log}");
    }
}

#[test]
fn a_complaint_is_found_in_a_long_log_with_its_line() {
    let boot = include_str!("logs/stock-boot.log");
    for (log, first) in BAD {
        let found = scan(&format!("{boot}{log}{boot}"));
        let line = boot.lines().count() + 1;
        let lines = line..line + log.lines().count();
        assert!(!found.is_empty(), "{first}");
        assert!(
            found.iter().all(|finding| lines.contains(&finding.line)),
            "{found:?}"
        );
    }
}

#[test]
fn healthy_messages_pass() {
    for line in BENIGN {
        assert_eq!(scan(line), [], "{line}");
    }
}

/// The trace of an allocation that failed is the kernel's way to say so; the
/// next one is something else.
#[test]
fn memory_that_runs_out_is_no_complaint() {
    let log = "[    5.1] insmod: vmalloc error: size 4096, vm_struct allocation failed, mode:0xcc0(GFP_KERNEL), nodemask=(null)\n\
               [    5.1] CPU: 1 UID: 0 PID: 49 Comm: insmod Tainted: G           O        7.2.12 #1\n\
               [    5.1] Tainted: [O]=OOT_MODULE\n\
               [    5.1] Call Trace:\n\
               [    5.1]  <TASK>\n\
               [    5.1] Mem-Info:\n";
    assert_eq!(scan(log), []);
    let again = format!("{log}[    5.2] Call Trace:\n");
    assert_eq!(scan(&again).len(), 1);
    let other = format!("{log}[    5.2] BUG: KASAN: use-after-free in x\n");
    assert_eq!(scan(&other).len(), 1);
}

#[test]
fn a_healthy_boot_passes() {
    let boot = include_str!("logs/stock-boot.log");
    assert!(boot.lines().count() > 200, "the golden log is cut");
    assert_eq!(scan(boot), []);
}
