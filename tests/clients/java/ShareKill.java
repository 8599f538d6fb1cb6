import java.time.Duration;
import java.util.ArrayList;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.KafkaException;

/**
 * Kills the broker with SIGKILL while members of a share group work: ShareKill BOOTSTRAP 'COMMAND THAT PRINTS THE PID OF THE BROKER'.
 *
 * Every record is delivered; none is accepted or rejected twice; what was stays so: after one more kill nothing comes again.
 */
final class ShareKill {
  private static final int RECORDS = 36_000;
  private static final int MEMBERS = 3;
  private static final int KILLS = 3;

  private final Shares shares;
  private final Cluster cluster;
  private final String pidCommand;
  private final String topic;
  private final String group;
  private final Set<Long> delivered = ConcurrentHashMap.newKeySet();
  private final Set<Long> done = ConcurrentHashMap.newKeySet();
  private final Set<Long> twice = ConcurrentHashMap.newKeySet();
  private final AtomicBoolean over = new AtomicBoolean();

  private ShareKill(String bootstrap, String pidCommand) throws Exception {
    this.pidCommand = pidCommand;
    cluster = new Cluster(bootstrap);
    shares = new Shares(cluster);
    topic = cluster.topic("share-kill", 1);
    group = shares.group("share.record.lock.duration.ms", "1000", "share.delivery.count.limit", "10");
  }

  public static void main(String[] args) throws Exception {
    new ShareKill(args[0], args[1]).run();
    System.exit(0);
  }

  private void run() throws Exception {
    var members = new ArrayList<Thread>();
    for (int i = 0; i < MEMBERS; i++) members.add(new Thread(this::work));
    members.forEach(member -> member.setDaemon(true));
    members.forEach(Thread::start);
    for (int kill = 1; kill <= KILLS; kill++) {
      // However fast they are, there is more to do than this when it is killed.
      int wanted = done.size() + RECORDS / KILLS / 4;
      cluster.fill(topic, RECORDS / KILLS);
      Scenarios.await(wanted + " records are done with", () -> done.size() >= wanted);
      kill();
    }
    Scenarios.await("all are done with", () -> delivered.size() == RECORDS && shares.isDone(group, topic));
    over.set(true);
    for (var member : members) member.join();
    Scenarios.equal(Set.of(), twice, "records that two were told to be done with");
    kill();
    try (var late = shares.member(group, topic, "explicit")) {
      long deadline = System.nanoTime() + Duration.ofSeconds(5).toNanos();
      while (System.nanoTime() < deadline) late.poll(Cluster.POLL).forEach(this::returned);
    }
    System.out.printf("%d records: %d done with, %d said to be without an answer, none again after %d kills%n",
        RECORDS, done.size(), RECORDS - done.size(), KILLS + 1);
  }

  private void returned(ConsumerRecord<String, String> record) {
    throw new AssertionError("offset " + record.offset() + " came again after all were done with");
  }

  private void work() {
    try (var member = shares.member(group, topic, "explicit")) {
      while (!over.get()) {
        try {
          turn(member);
        } catch (KafkaException passing) {
          // The broker is being started again.
        }
      }
    }
  }

  /** Takes some records, gives back every seventh the first time, rejects every eleventh, and accepts the others. */
  private void turn(KafkaShareConsumer<String, String> member) {
    var ended = new ArrayList<Long>();
    for (var record : member.poll(Cluster.POLL)) {
      delivered.add(record.offset());
      if (record.offset() % 7 == 0 && record.deliveryCount().orElseThrow() == 1) {
        member.acknowledge(record, AcknowledgeType.RELEASE);
        continue;
      }
      member.acknowledge(record, record.offset() % 11 == 0 ? AcknowledgeType.REJECT : AcknowledgeType.ACCEPT);
      ended.add(record.offset());
    }
    if (ended.isEmpty()) {
      member.commitSync();
      return;
    }
    var results = member.commitSync();
    if (!results.isEmpty() && results.values().stream().allMatch(Optional::isEmpty)) {
      for (var offset : ended) if (!done.add(offset)) twice.add(offset);
    }
  }

  private void kill() throws Exception {
    var asked = new ProcessBuilder("sh", "-c", pidCommand).start();
    var pid = Long.parseLong(new String(asked.getInputStream().readAllBytes()).trim());
    var killed = ProcessHandle.of(pid).orElseThrow();
    Scenarios.check(killed.destroyForcibly(), "the broker cannot be killed");
    killed.onExit().join();
    System.out.printf("killed process %d after %d records%n", pid, done.size());
  }
}
