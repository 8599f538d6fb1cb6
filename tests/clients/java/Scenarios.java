import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.function.BooleanSupplier;

/** Runs scenarios one after another, prints a line for each and counts them; and the checks they are written with. */
final class Scenarios {
  /** What a scenario does; it fails by throwing. */
  interface Body {
    void run() throws Exception;
  }

  private final String only;
  private int passed;
  private int failed;

  /** Runs those alone whose names contain {@code only}. */
  Scenarios(String only) {
    this.only = only;
  }

  void run(String name, Body body) {
    if (!name.contains(only)) return;
    long began = System.nanoTime();
    try {
      body.run();
      passed++;
      System.out.printf("ok   %s (%d ms)%n", name, (System.nanoTime() - began) / 1_000_000);
    } catch (Exception | AssertionError failure) {
      failed++;
      System.out.printf("FAIL %s%n", name);
      failure.printStackTrace(System.out);
    }
  }

  /** Prints the sum; true if every scenario passed. */
  boolean sum() {
    System.out.printf("%d passed, %d failed%n", passed, failed);
    return failed == 0;
  }

  static void equal(Object wanted, Object found, String what) {
    check(Objects.equals(wanted, found), "%s: wanted %s, found %s".formatted(what, wanted, found));
  }

  static void check(boolean holds, String otherwise) {
    if (!holds) throw new AssertionError(otherwise);
  }

  /** Runs what must be refused, and checks with which exception; a future's is looked for in its cause. */
  static void refused(Class<? extends Exception> with, Body body) {
    Throwable found = null;
    try {
      body.run();
    } catch (ExecutionException failure) {
      found = failure.getCause();
    } catch (Exception failure) {
      found = failure;
    }
    check(with.isInstance(found), "wanted a refusal with %s, found %s".formatted(with.getSimpleName(), found));
  }

  /** Waits until something holds, for half a minute at most. */
  static void await(String what, BooleanSupplier holds) throws InterruptedException {
    await(what, 30, holds);
  }

  /** Waits until something holds, for so many seconds at most. */
  static void await(String what, int seconds, BooleanSupplier holds) throws InterruptedException {
    long deadline = System.nanoTime() + seconds * 1_000_000_000L;
    while (!holds.getAsBoolean()) {
      check(System.nanoTime() < deadline, "did not come true within %d s: %s".formatted(seconds, what));
      Thread.sleep(20);
    }
  }
}
