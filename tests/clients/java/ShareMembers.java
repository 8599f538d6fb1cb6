import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.KafkaException;

/**
 * Members of a share group that work until they are told to stop, whatever becomes of the brokers meanwhile: each takes some
 * records, gives back some of them once, rejects a few, accepts the others, and remembers which it was told to be done with.
 */
final class ShareMembers {
  /** Where a record of their topic lies. */
  record At(int partition, long offset) {}

  private final Shares shares;
  private final String group;
  private final String topic;
  private final Set<At> delivered = ConcurrentHashMap.newKeySet();
  private final Set<At> done = ConcurrentHashMap.newKeySet();
  private final Set<At> twice = ConcurrentHashMap.newKeySet();
  private final AtomicBoolean over = new AtomicBoolean();
  private final List<Thread> members = new ArrayList<>();

  ShareMembers(Shares shares, String group, String topic, int count) {
    this.shares = shares;
    this.group = group;
    this.topic = topic;
    for (int i = 0; i < count; i++) members.add(new Thread(this::work));
    members.forEach(member -> member.setDaemon(true));
    members.forEach(Thread::start);
  }

  /** How many records came to any member. */
  int delivered() {
    return delivered.size();
  }

  /** How many records a member was told to be done with. */
  int done() {
    return done.size();
  }

  /** Waits until they are through with {@code records}, ends them, and checks that each record was done with once. */
  void end(int records) throws InterruptedException {
    Scenarios.await("all are done with", () -> delivered.size() == records && shares.isDone(group, topic));
    over.set(true);
    for (var member : members) member.join();
    Scenarios.equal(Set.of(), twice, "records that two were told to be done with");
  }

  /** Checks that a member that joins now is given nothing, for so long. */
  void nothingIsLeft(java.time.Duration patience) {
    try (var late = shares.member(group, topic, "explicit")) {
      long deadline = System.nanoTime() + patience.toNanos();
      while (System.nanoTime() < deadline) late.poll(Cluster.POLL).forEach(this::returned);
    }
  }

  private void returned(ConsumerRecord<String, String> record) {
    throw new AssertionError(at(record) + " came again after all were done with");
  }

  private static At at(ConsumerRecord<String, String> record) {
    return new At(record.partition(), record.offset());
  }

  private void work() {
    try (var member = shares.member(group, topic, "explicit")) {
      while (!over.get()) {
        try {
          turn(member);
        } catch (KafkaException passing) {
          // A broker is being started again.
        }
      }
    }
  }

  /** Takes some records, gives back every seventh the first time, rejects every eleventh, and accepts the others. */
  private void turn(KafkaShareConsumer<String, String> member) {
    var ended = new HashMap<Integer, List<At>>();
    for (var record : member.poll(Cluster.POLL)) {
      var at = at(record);
      delivered.add(at);
      if (record.offset() % 7 == 0 && record.deliveryCount().orElseThrow() == 1) {
        member.acknowledge(record, AcknowledgeType.RELEASE);
        continue;
      }
      member.acknowledge(record, record.offset() % 11 == 0 ? AcknowledgeType.REJECT : AcknowledgeType.ACCEPT);
      ended.computeIfAbsent(record.partition(), partition -> new ArrayList<>()).add(at);
    }
    member.commitSync().forEach((partition, failure) -> {
      if (failure.equals(Optional.empty())) ended.getOrDefault(partition.partition(), List.of()).forEach(this::ended);
    });
  }

  private void ended(At at) {
    if (!done.add(at)) twice.add(at);
  }
}
